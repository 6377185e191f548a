/* Plays libcuda.so.1 for `tests/devices.rs`: a machine's driver and GPUs are what the environment says. Just the calls
   that look before anything is opened: driver, version, number, capability, memory. */
#include <stdlib.h>
#include <string.h>

static long long setting(const char *name, long long otherwise) {
  const char *value = getenv(name);
  return value ? atoll(value) : otherwise;
}

int cuInit(unsigned flags) { return flags ? 1 : (int)setting("DRIVER_INIT", 0); }
int cuDriverGetVersion(int *version) { return *version = (int)setting("DRIVER_VERSION", 13000), 0; }
int cuDeviceGetCount(int *count) { return *count = (int)setting("DRIVER_GPUS", 1), 0; }
int cuDeviceGet(int *device, int ordinal) { return *device = ordinal, 0; }
int cuDeviceGetName(char *name, int bytes, int device) {
  (void)device;
  return strncpy(name, "Played GPU", (size_t)bytes), 0;
}
int cuDeviceGetAttribute(int *value, int which, int device) {
  (void)device;
  long long capability = setting("DRIVER_CAPABILITY", 90);
  if (which == 75 || which == 76) *value = (int)(which == 75 ? capability / 10 : capability % 10);
  else *value = 1;
  return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
  static char some;
  (void)device;
  return *context = &some, (int)setting("DRIVER_CONTEXT", 0);
}
int cuDevicePrimaryCtxRelease_v2(int device) { return (void)device, 0; }
static void *current;
int cuCtxSetCurrent(void *context) { return current = context, 0; }
int cuCtxGetCurrent(void **context) { return *context = current, 0; }
int cuMemGetInfo_v2(size_t *free, size_t *total) {
  *free = (size_t)setting("DRIVER_FREE_MIB", 0) << 20;
  return *total = (size_t)80 << 30, 0;
}
int cuGetErrorString(int error, const char **text) { return *text = error == 2 ? "out of memory" : "refused", 0; }
