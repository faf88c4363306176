/*
 * What the test's host wants of the system: to load a library, and to count what a driver may
 * leave behind.
 */
#ifndef VSCP_LINK_TEST_SYSTEM_H
#define VSCP_LINK_TEST_SYSTEM_H

#ifdef _WIN32
#include <windows.h>

#include <tlhelp32.h>

static void *open_library(const char *path) { return (void *)LoadLibraryA(path); }

static void *find_function(void *library, const char *name) {
  return (void *)(uintptr_t)GetProcAddress((HMODULE)library, name);
}

static int close_library(void *library) { return FreeLibrary((HMODULE)library) ? 0 : 1; }

static const char *library_error(void) {
  static char text[64];
  snprintf(text, sizeof text, "LoadLibrary: error %lu", GetLastError());
  return text;
}

/* Threads of this process. */
static int count_threads(void) {
  HANDLE list = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
  THREADENTRY32 entry;
  int count = 0;
  BOOL more;
  entry.dwSize = sizeof entry;
  for (more = Thread32First(list, &entry); more; more = Thread32Next(list, &entry))
    if (entry.th32OwnerProcessID == GetCurrentProcessId()) count++;
  CloseHandle(list);
  return count;
}

/* Handles that this process has open. */
static int count_descriptors(void) {
  DWORD count = 0;
  GetProcessHandleCount(GetCurrentProcess(), &count);
  return (int)count;
}

/* Bytes of its heap that are in use. */
static size_t count_heap(void) {
  PROCESS_HEAP_ENTRY entry;
  size_t sum = 0;
  entry.lpData = NULL;
  HeapLock(GetProcessHeap());
  while (HeapWalk(GetProcessHeap(), &entry))
    if (entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) sum += entry.cbData;
  HeapUnlock(GetProcessHeap());
  return sum;
}
#else
#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>

static void *open_library(const char *path) { return dlopen(path, RTLD_LAZY); }

static void *find_function(void *library, const char *name) { return dlsym(library, name); }

static int close_library(void *library) { return dlclose(library); }

static const char *library_error(void) { return dlerror(); }

static int entries(const char *path) {
  DIR *directory = opendir(path);
  int count = -2;
  if (!directory) return -1;
  while (readdir(directory)) count++;
  closedir(directory);
  return count;
}

/* Threads of this process. */
static int count_threads(void) { return entries("/proc/self/task"); }

/* Descriptors that this process has open, and the one that they are counted by. */
static int count_descriptors(void) { return entries("/proc/self/fd"); }

/* Bytes of its heap that are in use. */
static size_t count_heap(void) {
  malloc_trim(0);
  return mallinfo2().uordblks;
}
#endif

#endif
