/* libcuda.so.1 for a machine without a GPU: the driver's own names, types and error codes.
 *
 * Device memory is the host's and a stream does its work at once, or writes it down while it is
 * captured. What the real driver refuses is refused here: a call without a current context (201), a
 * handle or an address that is not one (1, 400), an event that was never recorded (400), an
 * allocation while a stream of the thread is captured (900). Enough of it for genuine bindings to
 * run on; TensorRT does not.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 1024
#define MOST_WORK 16
#define DEVICE_BYTES ((size_t)1 << 30)
enum { OK = 0, INVALID = 1, NO_MEMORY = 2, NO_CONTEXT = 201, NO_HANDLE = 400, NOT_FOUND = 500,
       CAPTURED = 900, CAPTURE_LOST = 901 };

typedef struct { void *to; const void *from; size_t size; } Work;
typedef struct { int count; Work work[MOST_WORK]; } Graph;
typedef struct { int priority; Graph *graph; int lost; } Stream;
typedef struct { int marked, timeless; double ms; } Event;
typedef struct { char kind; void *at; size_t size; int mapped; } Thing;

static Thing things[MOST];
static size_t used;
static double clock_ms;
static int retained, fail_code, capturing;
static char fail_call[64];
static int the_context;
static __thread int depth;

/* what the tests ask */
int fake_count(char kind) { int n = 0; for (int i = 0; i < MOST; i++) n += things[i].kind == kind; return n; }
int fake_depth(void) { return depth; }
int fake_retained(void) { return retained; }
void fake_fail(const char *call, int code) { snprintf(fail_call, sizeof fail_call, "%s", call); fail_code = code; }

static int due(const char *call) {
  if (fail_code && !strcmp(call, fail_call)) { int code = fail_code; fail_code = 0; return code; }
  return OK;
}
#define BEGIN do { int code = due(__func__); if (code) return code; if (!depth) return NO_CONTEXT; } while (0)

static Thing *find(char kind, const void *at) {
  for (int i = 0; i < MOST; i++) if (things[i].kind == kind && things[i].at == at) return &things[i];
  return 0;
}
static void *add(char kind, void *at, size_t size) {
  for (int i = 0; i < MOST; i++) if (!things[i].kind) { things[i] = (Thing){kind, at, size, 0}; return at; }
  abort();
}
static void drop(Thing *thing) { free(thing->at); thing->kind = 0; }
static int on_device(const void *at, size_t size) {
  for (int i = 0; i < MOST; i++) {
    Thing *t = &things[i];
    if ((t->kind == 'd' || (t->kind == 'h' && t->mapped)) && (char *)at >= (char *)t->at
        && (char *)at + size <= (char *)t->at + t->size) return 1;
  }
  return 0;
}

int cuInit(unsigned flags) { return flags ? INVALID : due(__func__); }
int cuDriverGetVersion(int *version) { *version = 13000; return OK; }
int cuDeviceGetCount(int *count) { *count = 1; return OK; }
int cuDeviceGet(int *device, int ordinal) { *device = 0; return ordinal ? INVALID : OK; }
int cuDeviceGetName(char *name, int size, int device) {
  if (device) return INVALID;
  snprintf(name, size, "A host");
  return OK;
}
int cuDeviceComputeCapability(int *major, int *minor, int device) { *major = 8; *minor = 7; return device ? INVALID : OK; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  switch (attribute) {
    case 18: *value = 1; break;  /* INTEGRATED */
    case 75: *value = 8; break;  /* COMPUTE_CAPABILITY_MAJOR */
    case 76: *value = 7; break;  /* COMPUTE_CAPABILITY_MINOR */
    default: *value = 0;
  }
  return device ? INVALID : OK;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { retained++; *context = &the_context; return device ? INVALID : OK; }
int cuDevicePrimaryCtxRelease_v2(int device) { if (!retained) return NO_CONTEXT; retained--; return device ? INVALID : OK; }
int cuCtxPushCurrent_v2(void *context) { if (context != &the_context) return NO_CONTEXT; depth++; return OK; }
int cuCtxPopCurrent_v2(void **context) { if (!depth) return NO_CONTEXT; depth--; *context = &the_context; return OK; }
int cuCtxGetDevice(int *device) { *device = 0; return depth ? OK : NO_CONTEXT; }
int cuCtxSynchronize(void) { BEGIN; return capturing ? CAPTURED : OK; }

int cuMemGetInfo_v2(size_t *left, size_t *all) { BEGIN; *left = DEVICE_BYTES - used; *all = DEVICE_BYTES; return OK; }
int cuMemAlloc_v2(uint64_t *address, size_t size) {
  BEGIN;
  if (capturing) return CAPTURED;
  if (!size) return INVALID;
  if (size > DEVICE_BYTES - used) return NO_MEMORY;
  *address = (uint64_t)(uintptr_t)add('d', aligned_alloc(256, (size + 255) & ~(size_t)255), size);
  used += size;
  return OK;
}
int cuMemFree_v2(uint64_t address) {
  BEGIN;
  Thing *thing = find('d', (void *)(uintptr_t)address);
  if (!thing) return INVALID;
  used -= thing->size;
  drop(thing);
  return OK;
}
int cuMemHostAlloc(void **address, size_t size, unsigned flags) {
  BEGIN;
  if (capturing) return CAPTURED;
  if (!size || flags & ~7u) return INVALID;
  if (size > DEVICE_BYTES) return NO_MEMORY;
  *address = add('h', aligned_alloc(4096, (size + 4095) & ~(size_t)4095), size);
  find('h', *address)->mapped = !!(flags & 2);
  return OK;
}
int cuMemFreeHost(void *address) {
  BEGIN;
  Thing *thing = find('h', address);
  if (!thing) return INVALID;
  drop(thing);
  return OK;
}
int cuMemHostGetDevicePointer_v2(uint64_t *device, void *host, unsigned flags) {
  BEGIN;
  Thing *thing = find('h', host);
  if (!thing || !thing->mapped || flags) return INVALID;
  *device = (uint64_t)(uintptr_t)host;
  return OK;
}

int cuStreamCreateWithPriority(void **stream, unsigned flags, int priority) {
  BEGIN;
  if (flags > 1) return INVALID;
  Stream *made = calloc(1, sizeof *made);
  made->priority = priority;
  *stream = add('s', made, 0);
  return OK;
}
int cuStreamDestroy_v2(void *stream) {
  BEGIN;
  Thing *thing = find('s', stream);
  if (!thing) return NO_HANDLE;
  drop(thing);
  return OK;
}
int cuStreamSynchronize(void *stream) {
  BEGIN;
  Stream *said = stream;
  if (!find('s', stream)) return NO_HANDLE;
  if (said->graph) { said->lost = 1; return CAPTURED; }
  return OK;
}
static int copy(void *to, const void *from, size_t size, void *stream) {
  Stream *said = stream;
  if (!find('s', stream)) return NO_HANDLE;
  if (!said->graph) { memcpy(to, from, size); clock_ms += 0.25; return OK; }
  if (said->graph->count == MOST_WORK) abort();
  said->graph->work[said->graph->count++] = (Work){to, from, size};
  return OK;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, void *stream) {
  BEGIN;
  return on_device((void *)(uintptr_t)to, size) ? copy((void *)(uintptr_t)to, from, size, stream) : INVALID;
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *stream) {
  BEGIN;
  return on_device((void *)(uintptr_t)from, size) ? copy(to, (void *)(uintptr_t)from, size, stream) : INVALID;
}

int cuEventCreate(void **event, unsigned flags) {
  BEGIN;
  if (flags > 7) return INVALID;
  *event = add('e', calloc(1, sizeof(Event)), 0);
  ((Event *)*event)->timeless = (flags & 2) != 0;
  return OK;
}
int cuEventDestroy_v2(void *event) {
  BEGIN;
  Thing *thing = find('e', event);
  if (!thing) return NO_HANDLE;
  drop(thing);
  return OK;
}
int cuEventRecord(void *event, void *stream) {
  BEGIN;
  if (!find('e', event) || !find('s', stream)) return NO_HANDLE;
  ((Event *)event)->marked = 1;
  ((Event *)event)->ms = clock_ms;
  return OK;
}
int cuEventSynchronize(void *event) {
  BEGIN;
  return find('e', event) ? OK : NO_HANDLE; /* work is done at once */
}
int cuEventElapsedTime(float *ms, void *start, void *end) {
  BEGIN;
  if (!find('e', start) || !find('e', end)) return NO_HANDLE;
  if (((Event *)start)->timeless || ((Event *)end)->timeless) return NO_HANDLE;
  if (!((Event *)start)->marked || !((Event *)end)->marked) return NO_HANDLE;
  *ms = (float)(((Event *)end)->ms - ((Event *)start)->ms);
  return OK;
}
int cuEventElapsedTime_v2(float *ms, void *start, void *end) { return cuEventElapsedTime(ms, start, end); }

int cuStreamBeginCapture_v2(void *stream, int mode) {
  BEGIN;
  Stream *said = stream;
  if (!find('s', stream)) return NO_HANDLE;
  if (mode < 0 || mode > 2 || said->graph) return INVALID;
  said->graph = calloc(1, sizeof(Graph));
  capturing++;
  return OK;
}
int cuStreamEndCapture(void *stream, void **graph) {
  BEGIN;
  Stream *said = stream;
  *graph = 0;
  if (!find('s', stream)) return NO_HANDLE;
  if (!said->graph) return INVALID;
  Graph *made = said->graph;
  said->graph = 0;
  capturing--;
  if (said->lost) { said->lost = 0; free(made); return CAPTURE_LOST; }
  *graph = add('g', made, 0);
  return OK;
}
int cuGraphInstantiateWithFlags(void **ready, void *graph, unsigned long long flags) {
  BEGIN;
  if (!find('g', graph)) return NO_HANDLE;
  if (flags > 15) return INVALID;
  Graph *made = malloc(sizeof *made);
  memcpy(made, graph, sizeof *made);
  *ready = add('x', made, 0);
  return OK;
}
int cuGraphDestroy(void *graph) {
  BEGIN;
  Thing *thing = find('g', graph);
  if (!thing) return NO_HANDLE;
  drop(thing);
  return OK;
}
int cuGraphLaunch(void *ready, void *stream) {
  BEGIN;
  if (!find('x', ready) || !find('s', stream)) return NO_HANDLE;
  Graph *said = ready;
  for (int i = 0; i < said->count; i++) memcpy(said->work[i].to, said->work[i].from, said->work[i].size);
  return OK;
}
int cuGraphExecDestroy(void *ready) {
  BEGIN;
  Thing *thing = find('x', ready);
  if (!thing) return NO_HANDLE;
  drop(thing);
  return OK;
}

int cuGetErrorString(int code, const char **text) { (void)code; *text = "refused"; return OK; }
int cuGetErrorName(int code, const char **text) { (void)code; *text = "CUDA_ERROR"; return OK; }
int cuGetProcAddress_v2(const char *symbol, void **address, int version, uint64_t flags, int *status) {
  static const char *ends[] = {"_v2", "WithFlags", ""};
  char name[128];
  (void)version; (void)flags;
  void *self = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
  *address = 0;
  for (int i = 0; i < 3 && !*address; i++) {
    snprintf(name, sizeof name, "%s%s", symbol, ends[i]);
    *address = dlsym(self, name);
  }
  if (status) *status = *address ? 0 : 1;
  return *address ? OK : NOT_FOUND;
}
