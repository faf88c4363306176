/*
 * vscpl2drv-link: a VSCP level II driver, used from C or C++.
 *
 * The six functions are those of the VSCP level II driver interface. A host loads the library with
 * dlopen, looks them up and calls them; it may also link to it.
 *
 * Threads: every function may be called from any thread, several at a time.
 * Handles: looked up, never taken for pointers; a call with one that is not open is harmless.
 * Signals: threads of the driver block all of them.
 */
#ifndef VSCPL2DRV_LINK_H
#define VSCPL2DRV_LINK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The most data bytes of an event. */
#define VSCP_LINK_MAX_DATA 512

/* Return codes; the CANAL_ERROR_ and VSCP_ERROR_ families agree on them. */
#define VSCP_LINK_SUCCESS 0
#define VSCP_LINK_TIMEOUT 32   /* VSCPRead: no event came in time */
#define VSCP_LINK_NOT_OPEN 33  /* VSCPRead: the driver is closing */
#define VSCP_LINK_PARAMETER 34 /* a null pointer, or an event that cannot be one */
#define VSCP_LINK_MEMORY 35    /* an unknown handle, or no memory */
#define VSCP_LINK_INTERNAL 36  /* a bug of the driver */

/* vscpEvent of vscpd up to 15.0.4. */
typedef struct vscpEventClassic {
  uint16_t crc; /* the driver never writes it */
  uint32_t obid;
  uint16_t year; /* UTC; all zeros: the time of arrival is taken */
  uint8_t month; /* 1 to 12 */
  uint8_t day;
  uint8_t hour;
  uint8_t minute;
  uint8_t second;
  uint32_t timestamp; /* microseconds */
  uint16_t head;
  uint16_t vscp_class;
  uint16_t vscp_type;
  uint8_t GUID[16]; /* most significant byte first */
  uint16_t sizeData;
  uint8_t *pdata;
} vscpEventClassic;

/* vscpEvent of vscpd from 15.1. Head bits 9 and 8 at 01: timestamp_ns counts, year is 0xFFFF and
 * month 0xFF. At 00: date, time and microseconds count. */
typedef struct vscpEventV2 {
  uint16_t head;
  uint32_t obid;
  uint16_t year;
  uint8_t month;
  /* Eight bytes, aligned to eight: nanoseconds since 1970 (timestamp_ns), or day, hour, minute,
   * second and microseconds. */
  union {
    uint64_t timestamp_ns;
    struct {
      uint8_t day;
      uint8_t hour;
      uint8_t minute;
      uint8_t second;
      uint32_t timestamp;
    } classic;
  } time;
  uint16_t vscp_class;
  uint16_t vscp_type;
  uint8_t GUID[16];
  uint16_t sizeData;
  uint8_t *pdata;
  uint16_t crc; /* the driver never writes it */
} vscpEventV2;

/* Which of the two the functions below take. The driver must be told too: with the key "abi"
 * (classic, v2) of its configuration. Left at auto, it looks for the text "timestamp_ns" in the
 * host's program: found means v2. */
#ifdef VSCP_LINK_ABI_V2
typedef vscpEventV2 vscpEvent;
#else
typedef vscpEventClassic vscpEvent;
#endif

/*
 * Opens a driver. config is the path of its configuration file, or the configuration itself where
 * it begins with '{'. guid points to sixteen bytes, most significant first (not text); all zeros
 * or NULL lets the machine give one. Returns a handle, always positive, or 0: then the reason is
 * in the driver's log or in the system's.
 */
long VSCPOpen(const char *config, const unsigned char *guid);

/*
 * Closes a driver: drains what waits for a broker for three seconds at most, and returns within
 * five, with its threads joined and its sockets closed. Always 0.
 */
int VSCPClose(long handle);

/*
 * Hands an event to the clients. The event and its data are copied before it returns and stay the
 * caller's. It does not wait; timeout has no meaning.
 */
int VSCPWrite(long handle, const vscpEvent *event, unsigned long timeout);

/*
 * Waits at most timeout milliseconds for the next event of a client; 0 polls. On success all
 * fields but crc are written. pdata is NULL where sizeData is 0, else a block from malloc that is
 * the caller's to free. What pdata held before is not looked at.
 */
int VSCPRead(long handle, vscpEvent *event, unsigned long timeout);

/* major << 24 | minor << 16 | release << 8 | build */
unsigned long VSCPGetVersion(void);

/* Who made this driver; a constant. */
const char *VSCPGetVendorString(void);

/* The sizes and places that every compiled host relies on. */
#define VSCP_LINK_CHECK(name, truth) typedef char vscp_link_check_##name[(truth) ? 1 : -1]
#define VSCP_LINK_64 (sizeof(void *) == 8)
VSCP_LINK_CHECK(classic_size, sizeof(vscpEventClassic) == (VSCP_LINK_64 ? 56 : 48));
VSCP_LINK_CHECK(classic_head, offsetof(vscpEventClassic, head) == 20);
VSCP_LINK_CHECK(classic_guid, offsetof(vscpEventClassic, GUID) == 26);
VSCP_LINK_CHECK(classic_data, offsetof(vscpEventClassic, pdata) == (VSCP_LINK_64 ? 48 : 44));
VSCP_LINK_CHECK(v2_size, !VSCP_LINK_64 || sizeof(vscpEventV2) == 64);
VSCP_LINK_CHECK(v2_time, offsetof(vscpEventV2, time) == 16);
VSCP_LINK_CHECK(v2_guid, offsetof(vscpEventV2, GUID) == 28);
VSCP_LINK_CHECK(v2_data, offsetof(vscpEventV2, pdata) == 48);
VSCP_LINK_CHECK(v2_crc, offsetof(vscpEventV2, crc) == (VSCP_LINK_64 ? 56 : 52));

#ifdef __cplusplus
}
#endif

#endif
