/* Stands in for libcuda in the link (scripts/cuda-toolkit compiles it): every function jumps through a table that is
   filled from the driver when the program starts. Without a driver each returns an error, so the program starts anywhere
   and can say what is missing. names.inc: N(i, name), one line for each function that cudarc, the caller, declares. */
#include <dlfcn.h>
#if defined(__x86_64__)
#define JUMP "jmp *recon_cuda_driver+8*%c0(%%rip)"
#elif defined(__aarch64__)
#define JUMP "adrp x16, recon_cuda_driver+8*%c0\n ldr x16, [x16, #:lo12:recon_cuda_driver+8*%c0]\n br x16"
#endif

#define N(i, name) #name,
static const char *const names[] = {
#include "names.inc"
};
#undef N

__attribute__((visibility("hidden"))) void *recon_cuda_driver[sizeof names / sizeof *names];

#define N(i, name) \
  __attribute__((naked)) int name(void) { __asm__(JUMP : : "i"(i)); }
#include "names.inc"

static int no_driver(void) { return 303; }   /* CUDA_ERROR_SHARED_OBJECT_INIT_FAILED */
static int no_function(void) { return 500; } /* CUDA_ERROR_NOT_FOUND: the driver is older than the call */

__attribute__((constructor)) static void fill(void) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
    void *found = library ? dlsym(library, names[i]) : (void *)no_driver;
    recon_cuda_driver[i] = found ? found : (void *)no_function;
  }
}
