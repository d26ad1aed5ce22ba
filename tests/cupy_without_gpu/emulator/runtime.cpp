// The CUDA runtime (libcudart) of the emulator, linked into CuPy's module `runtime` in the real one's place.
//
// Every call finishes before it returns, so streams and events have nothing to wait for. What is missing here build.py
// fills with functions that return cudaErrorNotSupported.
#include "device.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <cuda_runtime.h>

static cudaError_t last_error = cudaSuccess;
static cudaError_t failed(cudaError_t error) { return last_error = error; }

extern "C" {

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorIllegalAddress: return "cudaErrorIllegalAddress";
    case cudaErrorNotSupported: return "cudaErrorNotSupported";
    default: return "cudaErrorUnknown";
  }
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidValue: return "a copy or fill that is not within one block of device memory, or a free of no block";
    case cudaErrorNotSupported: return "the emulator does not have this";
    default: return "an error of the emulated device";
  }
}

cudaError_t cudaGetLastError() {
  cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}

// ------------------------------------------------------------------------------------------------------------ one device

cudaError_t cudaDriverGetVersion(int* version) { return *version = 13020, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13020, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : failed(cudaErrorInvalidDevice); }
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) { return *can = 0, cudaSuccess; }
cudaError_t cudaDeviceGetPCIBusId(char* id, int size, int) { return snprintf(id, size, "0000:00:00.0"), cudaSuccess; }

#undef cudaGetDeviceProperties
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  size_t free;
  memset(p, 0, sizeof *p);
  strcpy(p->name, "emulator on the CPU (no GPU)");
  device_memory(&free, &p->totalGlobalMem);
  p->major = 9;
  p->warpSize = 32;
  p->maxThreadsPerBlock = 1024;
  p->multiProcessorCount = 4;
  p->sharedMemPerBlock = 48 << 10;
  p->regsPerBlock = 1 << 16;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: *value = 9; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxBlockDimX: *value = 1024; break;
    case cudaDevAttrMaxGridDimX: *value = 0x7fffffff; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = 48 << 10; break;
    case cudaDevAttrMaxRegistersPerBlock: *value = 1 << 16; break;
    case cudaDevAttrMultiProcessorCount: *value = 4; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrUnifiedAddressing: *value = 1; break;
    default: *value = 0;
  }
  return cudaSuccess;
}

// ---------------------------------------------------------------------------------------------------------------- memory

cudaError_t cudaMalloc(void** block, size_t size) {
  return (*block = device_malloc(size)) ? cudaSuccess : failed(cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void* block) { return !block || device_free(block) ? cudaSuccess : failed(cudaErrorInvalidValue); }
cudaError_t cudaMallocAsync(void** block, size_t size, cudaStream_t) { return cudaMalloc(block, size); }
cudaError_t cudaFreeAsync(void* block, cudaStream_t) { return cudaFree(block); }
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) { return device_memory(free, total), cudaSuccess; }

cudaError_t cudaHostAlloc(void** block, size_t size, unsigned) { return *block = malloc(size + 1), cudaSuccess; }
cudaError_t cudaFreeHost(void* block) { return free(block), cudaSuccess; }

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* a, const void* p) {
  memset(a, 0, sizeof *a);
  const bool on_device = device_owns(p, 0);
  a->type = on_device ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
  a->device = on_device ? 0 : -2;
  a->hostPointer = on_device ? nullptr : (void*)p;
  a->devicePointer = on_device ? (void*)p : nullptr;
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind kind) {
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if ((to_device && !device_owns(to, size)) || (from_device && !device_owns(from, size))) return failed(cudaErrorInvalidValue);
  return memmove(to, from, size), cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpy(to, from, size, kind);
}
cudaError_t cudaMemcpyPeer(void* to, int, const void* from, int, size_t size) {
  return cudaMemcpy(to, from, size, cudaMemcpyDeviceToDevice);
}
cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t size, cudaStream_t) {
  return cudaMemcpy(to, from, size, cudaMemcpyDeviceToDevice);
}
cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                         cudaMemcpyKind kind) {
  for (size_t i = 0; i < height; i++)
    if (cudaMemcpy((char*)to + i * to_pitch, (char*)from + i * from_pitch, width, kind)) return cudaErrorInvalidValue;
  return cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                              cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpy2D(to, to_pitch, from, from_pitch, width, height, kind);
}
cudaError_t cudaMemset(void* start, int value, size_t size) {
  return device_owns(start, size) ? (memset(start, value, size), cudaSuccess) : failed(cudaErrorInvalidValue);
}
cudaError_t cudaMemsetAsync(void* start, int value, size_t size, cudaStream_t) { return cudaMemset(start, value, size); }

// ---------------------------------------------------------------------------------------------------- streams and events

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return *stream = (cudaStream_t)malloc(1), cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return cudaStreamCreate(stream); }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) { return cudaStreamCreate(stream); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return free(stream), cudaSuccess; }
cudaError_t cudaStreamGetFlags(cudaStream_t, unsigned* flags) { return *flags = 0, cudaSuccess; }
cudaError_t cudaStreamGetPriority(cudaStream_t, int* priority) { return *priority = 0, cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t f, void* data, unsigned) {
  return f(stream, cudaSuccess, data), cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t f, void* data) { return f(data), cudaSuccess; }
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  return *status = cudaStreamCaptureStatusNone, cudaSuccess;
}

typedef std::chrono::steady_clock Clock;  // an event is the time at which it was recorded
static Clock::time_point* time_of(cudaEvent_t event) { return (Clock::time_point*)event; }
cudaError_t cudaEventCreate(cudaEvent_t* event) { return *event = (cudaEvent_t) new Clock::time_point, cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return cudaEventCreate(event); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete time_of(event), cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) { return *time_of(event) = Clock::now(), cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(*time_of(end) - *time_of(start)).count();
  return cudaSuccess;
}
}
