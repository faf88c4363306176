/*
 * A host of the driver, for tests: loads the library as the daemon does.
 *
 *   host serve LIBRARY CONFIG   opens a driver and obeys lines on standard input
 *   host cycle LIBRARY CONFIG N loads, opens, writes, reads, closes, unloads, N times
 *   host twice LIBRARY A B      two drivers at once
 *   host misuse LIBRARY CONFIG  every call that a host should not make
 *
 * Compiled twice: with VSCP_LINK_ABI_V2 or without, for the two layouts of vscpEvent.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "system.h"
#include "vscpl2drv-link.h"

#ifdef VSCP_LINK_ABI_V2
/* The mark by which a driver knows this host's layout. */
static const volatile char mark[] = "timestamp_ns";
#endif

static const unsigned char OWN[16] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xF5,
                                       0x02, 0x88, 0x88, 0x00, 0x00, 0x00, 0x00, 0x01};

struct library {
  void *handle;
  long (*open)(const char *, const unsigned char *);
  int (*close)(long);
  int (*write)(long, const vscpEvent *, unsigned long);
  int (*read)(long, vscpEvent *, unsigned long);
  unsigned long (*version)(void);
  const char *(*vendor)(void);
};

static void fail(const char *what) {
  printf("FAILED: %s\n", what);
  fflush(stdout);
  exit(1);
}

#define CHECK(truth)                                                                               \
  do {                                                                                             \
    if (!(truth)) {                                                                                \
      printf("line %d: ", __LINE__);                                                               \
      fail(#truth);                                                                                \
    }                                                                                              \
  } while (0)

static void load(struct library *library, const char *path) {
  library->handle = open_library(path);
  if (!library->handle) fail(library_error());
  *(void **)&library->open = find_function(library->handle, "VSCPOpen");
  *(void **)&library->close = find_function(library->handle, "VSCPClose");
  *(void **)&library->write = find_function(library->handle, "VSCPWrite");
  *(void **)&library->read = find_function(library->handle, "VSCPRead");
  *(void **)&library->version = find_function(library->handle, "VSCPGetVersion");
  *(void **)&library->vendor = find_function(library->handle, "VSCPGetVendorString");
  CHECK(library->open && library->close && library->write && library->read);
  CHECK(library->version && library->vendor);
}

/* Threads that are not this program's: an emulator's, where it runs under one. */
static int others;

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec + at.tv_nsec / 1e9;
}

static void fill(vscpEvent *event, uint8_t *data, uint16_t size) {
  memset(event, 0, sizeof *event);
  event->vscp_class = 20;
  event->vscp_type = 3;
  memcpy(event->GUID, OWN, 16);
  event->sizeData = size;
  event->pdata = size ? data : NULL;
}

/* --- serve -------------------------------------------------------------------------------- */

static void print_event(const vscpEvent *event) {
  int at;
#ifdef VSCP_LINK_ABI_V2
  printf("event %u,%u,%u,%u,%u-%u,%llu,", event->head, event->vscp_class, event->vscp_type,
         (unsigned)event->obid, event->year, event->month,
         (unsigned long long)event->time.timestamp_ns);
#else
  printf("event %u,%u,%u,%u,%04u-%02u-%02uT%02u:%02u:%02uZ,%u,", event->head, event->vscp_class,
         event->vscp_type, (unsigned)event->obid, event->year, event->month, event->day,
         event->hour, event->minute, event->second, (unsigned)event->timestamp);
#endif
  for (at = 0; at < 16; at++) printf("%02X%s", event->GUID[at], at < 15 ? ":" : "");
  for (at = 0; at < event->sizeData; at++) printf(",%u", event->pdata[at]);
  printf("\n");
}

/* write HEAD CLASS TYPE OBID SECONDS MICROS SIZE: data bytes 0, 1, 2 … */
static int write_event(const struct library *library, long handle, const char *line) {
  static uint8_t data[VSCP_LINK_MAX_DATA];
  unsigned head, class, type, obid, micros, size, at;
  long seconds;
  time_t when;
  struct tm date;
  vscpEvent event;
  if (sscanf(line, "write %u %u %u %u %ld %u %u", &head, &class, &type, &obid, &seconds, &micros,
             &size) != 7 ||
      size > VSCP_LINK_MAX_DATA)
    return -1;
  for (at = 0; at < size; at++) data[at] = (uint8_t)at;
  fill(&event, data, (uint16_t)size);
  event.head = (uint16_t)head;
  event.vscp_class = (uint16_t)class;
  event.vscp_type = (uint16_t)type;
  event.obid = obid;
  when = (time_t)seconds;
  gmtime_r(&when, &date);
#ifdef VSCP_LINK_ABI_V2
  if (head & 0x100) {
    event.year = 0xFFFF;
    event.month = 0xFF;
    event.time.timestamp_ns = (uint64_t)seconds * 1000000000ULL + micros * 1000ULL;
  } else {
    event.year = (uint16_t)(date.tm_year + 1900);
    event.month = (uint8_t)(date.tm_mon + 1);
    event.time.classic.day = (uint8_t)date.tm_mday;
    event.time.classic.hour = (uint8_t)date.tm_hour;
    event.time.classic.minute = (uint8_t)date.tm_min;
    event.time.classic.second = (uint8_t)date.tm_sec;
    event.time.classic.timestamp = micros;
  }
#else
  event.year = (uint16_t)(date.tm_year + 1900);
  event.month = (uint8_t)(date.tm_mon + 1);
  event.day = (uint8_t)date.tm_mday;
  event.hour = (uint8_t)date.tm_hour;
  event.minute = (uint8_t)date.tm_min;
  event.second = (uint8_t)date.tm_sec;
  event.timestamp = micros;
#endif
  return library->write(handle, &event, 500);
}

static int serve(const char *path, const char *config) {
  struct library library;
  char line[512];
  long handle;
  load(&library, path);
  handle = library.open(config, OWN);
  if (handle == 0) {
    printf("refused\n");
    return 1;
  }
  printf("ready\n");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    unsigned long timeout;
    if (sscanf(line, "read %lu", &timeout) == 1) {
      vscpEvent event;
      int code;
      memset(&event, 0xA5, sizeof event);
      code = library.read(handle, &event, timeout);
      if (code == 0) {
        CHECK(event.crc == 0xA5A5);
        print_event(&event);
        free(event.pdata);
      } else {
        printf("code %d\n", code);
      }
    } else if (!strncmp(line, "write", 5)) {
      printf("code %d\n", write_event(&library, handle, line));
    } else if (!strncmp(line, "zeros", 5)) {
      vscpEvent event;
      memset(&event, 0, sizeof event);
      printf("code %d\n", library.write(handle, &event, 500));
    } else if (!strncmp(line, "close", 5)) {
      double start = now();
      int code = library.close(handle);
      printf("closed %d %.3f\n", code, now() - start);
    } else if (!strncmp(line, "threads", 7)) {
      printf("threads %d\n", count_threads() - others);
    } else if (!strncmp(line, "heap", 4)) {
      printf("heap %zu\n", count_heap());
    } else {
      printf("what?\n");
    }
    fflush(stdout);
  }
  library.close(handle);
  close_library(library.handle);
  return 0;
}

/* --- cycle -------------------------------------------------------------------------------- */

struct caller {
  const struct library *library;
  long handle;
};

static void *writer(void *argument) {
  struct caller *caller = argument;
  uint8_t data[VSCP_LINK_MAX_DATA] = {1, 2, 3};
  int at;
  for (at = 0; at < 20; at++) {
    vscpEvent event;
    fill(&event, data, (uint16_t)(at * 25));
    CHECK(caller->library->write(caller->handle, &event, 500) == 0);
  }
  return NULL;
}

static void *reader(void *argument) {
  struct caller *caller = argument;
  int at;
  for (at = 0; at < 2; at++) {
    vscpEvent event;
    memset(&event, 0, sizeof event);
    CHECK(caller->library->read(caller->handle, &event, 10) == VSCP_LINK_TIMEOUT);
  }
  return NULL;
}

static void one_cycle(const char *path, const char *config) {
  struct library library;
  struct caller caller;
  pthread_t threads[4];
  int at;
  load(&library, path);
  caller.library = &library;
  caller.handle = library.open(config, OWN);
  if (caller.handle == 0) fail("VSCPOpen");
  for (at = 0; at < 4; at++)
    CHECK(!pthread_create(&threads[at], NULL, at % 2 ? reader : writer, &caller));
  for (at = 0; at < 4; at++) pthread_join(threads[at], NULL);
  CHECK(library.close(caller.handle) == 0);
  CHECK(close_library(library.handle) == 0);
}

/* A thread that has been joined may still be on its way out of the kernel's list. */
static int threads_left(void) {
  int tries, count = 0;
  for (tries = 0; tries < 1000; tries++) {
    count = count_threads() - others;
    if (count == 1) break;
    usleep(1000);
  }
  return count;
}

static int cycle(const char *path, const char *config, int count) {
  const int warm = 5;
  int at, descriptors = 0;
  size_t heap = 0, heap_now;
  for (at = 0; at < count; at++) {
    one_cycle(path, config);
    if (at == warm) {
      descriptors = count_descriptors();
      heap = count_heap();
      CHECK(threads_left() == 1);
    }
  }
  heap_now = count_heap();
  printf("threads %d descriptors %d (%d after warming up) heap %zu (%zu)\n", threads_left(),
         count_descriptors(), descriptors, heap_now, heap);
  CHECK(threads_left() == 1);
  CHECK(count_descriptors() == descriptors);
  /* Exact where glibc has no caches per thread and one arena only, as the test arranges. */
  CHECK(heap_now <= heap + 512);
  return 0;
}

/* --- twice -------------------------------------------------------------------------------- */

static int twice(const char *path, const char *first, const char *second) {
  struct library one, two;
  long a, b;
  vscpEvent event;
  load(&one, path);
  load(&two, path);
  a = one.open(first, OWN);
  b = two.open(second, OWN);
  CHECK(a != 0 && b != 0 && a != b);
  fill(&event, NULL, 0);
  CHECK(one.write(a, &event, 500) == 0 && two.write(b, &event, 500) == 0);
  CHECK(one.close(a) == 0);
  CHECK(one.write(a, &event, 500) == VSCP_LINK_MEMORY);
  CHECK(two.write(b, &event, 500) == 0);
  CHECK(two.read(b, &event, 1) == VSCP_LINK_TIMEOUT);
  /* The first again, while the second runs. */
  a = one.open(first, OWN);
  CHECK(a != 0 && a != b);
  CHECK(one.write(a, &event, 500) == 0);
  CHECK(two.close(b) == 0);
  CHECK(one.write(a, &event, 500) == 0);
  CHECK(one.close(a) == 0);
  CHECK(threads_left() == 1);
  return 0;
}

/* --- race --------------------------------------------------------------------------------- */

static void *racing_reader(void *argument) {
  struct caller *caller = argument;
  int code;
  do {
    vscpEvent event;
    memset(&event, 0, sizeof event);
    code = caller->library->read(caller->handle, &event, 20000);
    if (code == VSCP_LINK_SUCCESS) free(event.pdata);
  } while (code == VSCP_LINK_SUCCESS);
  CHECK(code == VSCP_LINK_NOT_OPEN || code == VSCP_LINK_MEMORY);
  return NULL;
}

static void *racing_writer(void *argument) {
  struct caller *caller = argument;
  uint8_t data[VSCP_LINK_MAX_DATA] = {1, 2, 3};
  vscpEvent event;
  int code;
  fill(&event, data, sizeof data);
  do code = caller->library->write(caller->handle, &event, 500);
  while (code == VSCP_LINK_SUCCESS);
  CHECK(code == VSCP_LINK_NOT_OPEN || code == VSCP_LINK_MEMORY);
  return NULL;
}

static void *closer(void *argument) {
  struct caller *caller = argument;
  CHECK(caller->library->close(caller->handle) == 0);
  return NULL;
}

/* The driver is closed, twice at once, while other threads are within its calls. */
static int race(const char *path, const char *config, int count) {
  void *(*const roles[])(void *) = {racing_reader, racing_writer, racing_reader,
                                    racing_writer, closer,        closer};
  const int most = sizeof roles / sizeof *roles;
  struct library library;
  struct caller caller;
  pthread_t threads[sizeof roles / sizeof *roles];
  int at;
  load(&library, path);
  caller.library = &library;
  while (count-- > 0) {
    double start;
    caller.handle = library.open(config, OWN);
    CHECK(caller.handle != 0);
    for (at = 0; at < most; at++) {
      if (roles[at] == closer) usleep(2000);
      CHECK(!pthread_create(&threads[at], NULL, roles[at], &caller));
    }
    start = now();
    for (at = 0; at < most; at++) pthread_join(threads[at], NULL);
    CHECK(now() - start < 5);
    CHECK(threads_left() == 1);
  }
  CHECK(close_library(library.handle) == 0);
  return 0;
}

/* --- misuse ------------------------------------------------------------------------------- */

static int misuse(const char *path, const char *config) {
  struct library library;
  long handle, handles[] = {0, 1, -1, 1681, 0x7FFFFFFF};
  vscpEvent event;
  double start;
  unsigned at;
  load(&library, path);
  fill(&event, NULL, 0);
  for (at = 0; at < sizeof handles / sizeof *handles; at++) {
    CHECK(library.write(handles[at], &event, 500) == VSCP_LINK_MEMORY);
    CHECK(library.read(handles[at], &event, 50) == VSCP_LINK_MEMORY);
    CHECK(library.close(handles[at]) == 0);
  }
  CHECK(library.open(NULL, OWN) == 0);
  CHECK(library.open("/nowhere/at/all.json", OWN) == 0);
  CHECK(library.open("{", OWN) == 0);
  CHECK(library.open("{\"interface\": 5}", OWN) == 0);
  CHECK(library.open("{\"interface\": \"stcp://127.0.0.1:0\"}", OWN) == 0);
  CHECK(library.open("{\"interface\": \"192.0.2.1:1\", \"logging\": {\"file-enable-log\": false}}", OWN) == 0);
  CHECK(library.open("[]", OWN) == 0);
  CHECK(library.open("", OWN) == 0);
  CHECK(library.open("\xFF\xFE", OWN) == 0);
  handle = library.open(config, NULL);
  CHECK(handle > 0);
  CHECK(library.write(handle, NULL, 500) == VSCP_LINK_PARAMETER);
  CHECK(library.read(handle, NULL, 500) == VSCP_LINK_PARAMETER);
  CHECK(library.read(handle + 1, &event, 50) == VSCP_LINK_MEMORY);
  event.sizeData = 600;
  event.pdata = (uint8_t *)8;
  CHECK(library.write(handle, &event, 500) == VSCP_LINK_PARAMETER);
  event.sizeData = 5;
  event.pdata = NULL;
  CHECK(library.write(handle, &event, 500) == VSCP_LINK_PARAMETER);
  start = now();
  CHECK(library.read(handle, &event, 60) == VSCP_LINK_TIMEOUT);
  CHECK(now() - start >= 0.059);
  CHECK(library.read(handle, &event, 0) == VSCP_LINK_TIMEOUT);
  CHECK(library.close(handle) == 0);
  CHECK(library.close(handle) == 0);
  fill(&event, NULL, 0);
  CHECK(library.write(handle, &event, 500) == VSCP_LINK_MEMORY);
  CHECK(library.version() > 0 && strlen(library.vendor()) > 0);
  CHECK(close_library(library.handle) == 0);
  /* After dlclose the code is still there (-z nodelete): a host that calls late does not die. */
  CHECK(library.write(0, &event, 500) == VSCP_LINK_MEMORY);
  return 0;
}

int main(int count, char **words) {
  int code = 2;
  others = count_threads() - 1;
#ifdef VSCP_LINK_ABI_V2
  (void)mark[0];
#endif
  if (count == 4 && !strcmp(words[1], "serve"))
    code = serve(words[2], words[3]);
  else if (count == 5 && !strcmp(words[1], "cycle"))
    code = cycle(words[2], words[3], atoi(words[4]));
  else if (count == 5 && !strcmp(words[1], "race"))
    code = race(words[2], words[3], atoi(words[4]));
  else if (count == 5 && !strcmp(words[1], "twice"))
    code = twice(words[2], words[3], words[4]);
  else if (count == 4 && !strcmp(words[1], "misuse"))
    code = misuse(words[2], words[3]);
  else
    fprintf(stderr, "host serve|cycle|race|twice|misuse LIBRARY CONFIG …\n");
  /* Not every emulator has a code for a program that was ended. */
  if (code == 0) printf("all is well\n");
  return code;
}
