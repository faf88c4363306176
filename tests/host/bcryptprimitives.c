/*
 * The one function of bcryptprimitives.dll, which Rust's standard library wants: Windows 10 has it,
 * the wine of Debian 12 does not yet.
 */
#include <windows.h>

#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T length) {
  while (length > 0) {
    ULONG part = length < 65536 ? (ULONG)length : 65536;
    if (!RtlGenRandom(bytes, part)) return FALSE;
    bytes += part;
    length -= part;
  }
  return TRUE;
}
