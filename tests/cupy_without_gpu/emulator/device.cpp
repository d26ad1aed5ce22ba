// libcuda.so.1 of the emulator: device memory, modules, and launches.
//
// Memory is host memory between two red zones, filled with NaN. A module is a shared object that g++ made of a kernel. A
// launch runs one block after another; the threads of a block are fibers, which take turns at barriers.
#include "device.h"

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <numeric>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <sys/mman.h>

enum Status {  // CUresult
  OK = 0, INVALID_IMAGE = 200, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700, ASSERT = 710, LAUNCH_FAILED = 719, NOT_SUPPORTED = 801
};

static std::string explanation;  // of the last error, for cuGetErrorString

static long environment(const char* name, long otherwise) {
  const char* text = getenv(name);
  return text && *text ? atol(text) : otherwise;
}

// -------------------------------------------------------------------------------------------------------------------- memory

// Two bytes that make NaN of every float format, are true as a bool, and far out of range as an index.
static const unsigned char SOIL[2] = {0xFB, 0x7F};
static const unsigned char RED_ZONE = 0xA5;
static const size_t MARGIN = 512;  // before and after a block; cudaMalloc aligns to as much

static std::map<char*, size_t> blocks;
static std::mutex memory_lock;
static size_t used = 0;

static size_t total() { return (size_t)environment("SIM_MEMORY", 4096) << 20; }
static size_t rounded(size_t size) { return (size + MARGIN - 1) / MARGIN * MARGIN; }

static void soil(void* start, size_t size) {
  for (size_t i = 0; i < size; i++) ((unsigned char*)start)[i] = SOIL[i % 2];
}

static void draw_red_zones(char* block, size_t size) {
  memset(block - MARGIN, RED_ZONE, MARGIN);
  memset(block + size, RED_ZONE, rounded(size) - size + MARGIN);
}

static bool red_zones_intact(const char* block, size_t size) {
  static const std::string clean(64, (char)RED_ZONE);
  return !memcmp(block - clean.size(), clean.data(), clean.size()) && !memcmp(block + size, clean.data(), clean.size());
}

extern "C" void* device_malloc(size_t size) {
  std::lock_guard<std::mutex> guard(memory_lock);
  if (used + size > total()) return nullptr;
  char* block = (char*)aligned_alloc(MARGIN, rounded(size) + 2 * MARGIN) + MARGIN;
  soil(block, size);
  draw_red_zones(block, size);
  blocks[block] = size;
  used += size;
  return block;
}

extern "C" bool device_free(void* block) {
  std::lock_guard<std::mutex> guard(memory_lock);
  auto found = blocks.find((char*)block);
  if (found == blocks.end()) return false;
  soil(block, found->second);
  used -= found->second;
  free((char*)block - MARGIN);
  blocks.erase(found);
  return true;
}

// CuPy's pool asks for multiples of 512 bytes; this tells how many an array has. False if the block is not one that came
// from device_malloc for this array: the pool gave it to an array before, or split it.
extern "C" bool device_shrink(void* block, size_t size) {
  std::lock_guard<std::mutex> guard(memory_lock);
  auto found = blocks.find((char*)block);
  if (found == blocks.end() || rounded(size) != found->second) return false;
  used -= found->second - size;
  found->second = size;
  draw_red_zones((char*)block, size);
  return true;
}

extern "C" bool device_owns(const void* start, size_t size) {
  std::lock_guard<std::mutex> guard(memory_lock);
  auto after = blocks.upper_bound((char*)start);
  if (after == blocks.begin()) return false;
  auto block = std::prev(after);
  return (char*)start + size <= block->first + block->second;
}

extern "C" void device_memory(size_t* free, size_t* all) {
  *all = total();
  *free = *all - used;
}

static Status check_red_zones(const std::string& kernel) {
  std::lock_guard<std::mutex> guard(memory_lock);
  for (auto [block, size] : blocks) {
    if (red_zones_intact(block, size)) continue;
    draw_red_zones(block, size);
    explanation = kernel + " wrote before or after a block of " + std::to_string(size) + " bytes";
    return ILLEGAL_ADDRESS;
  }
  return OK;
}

// --------------------------------------------------------------------------------------------------------------------- fibers

// Saves the registers that a call must keep, and goes on where `to` was saved.
extern "C" void switch_stack(void** from, void* to);
asm(R"(
.globl switch_stack
switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx  # not ret: the processor would foretell the wrong caller each time
  jmp *%rcx
)");

static const size_t STACK = (64 << 10) + 13 * 64, MOST_THREADS = 1024;

struct Uint3 { unsigned x, y, z; };
struct Mailbox { char bytes[16]; };

extern "C" {
Uint3 threadIdx, blockIdx, blockDim, gridDim;
alignas(64) char dynamic_shared_memory[256 << 10];
}

enum State : char { NOT_STARTED, RUNNABLE, AT_WARP_BARRIER, AT_BLOCK_BARRIER, EXITED };

static struct {
  void (*kernel)(void**);
  void** arguments;
  std::vector<unsigned> order;  // in which threads run
  unsigned started;             // how many of them
  Uint3 position[MOST_THREADS];
  State state[MOST_THREADS];
  void* fiber[MOST_THREADS];  // the saved stack pointer of a thread that waits
  void* scheduler;
  unsigned current;
  Status fault;
  Mailbox mailboxes[MOST_THREADS];
} block;

static Uint3 position(unsigned i, Uint3 size) { return {i % size.x, i / size.x % size.y, i / (size.x * size.y)}; }

static void go_on_as(unsigned thread) {
  block.current = thread;
  threadIdx = block.position[thread];
  block.state[thread] = RUNNABLE;
}

static void leave(void** from) { switch_stack(from, block.scheduler); }

// A fiber runs thread after thread to its end; one that waits keeps the fiber, and a new fiber starts the next thread.
static void fiber_main() {
  while (block.started < block.order.size()) {
    go_on_as(block.order[block.started++]);
    block.kernel(block.arguments);
    block.state[block.current] = EXITED;
  }
  void* never_again;
  leave(&never_again);
}

static void* new_fiber(unsigned which) {
  static char* const stacks =
      (char*)mmap(nullptr, STACK * MOST_THREADS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  void** top = (void**)(stacks + STACK * (which + 1));
  top[-2] = (void*)fiber_main;  // where switch_stack returns to, after six registers
  return top - 8;
}

static void wait(State where) {
  unsigned me = block.current;
  block.state[me] = where;
  leave(&block.fiber[me]);
}

extern "C" {
void wait_for_block() { wait(AT_BLOCK_BARRIER); }
void wait_for_warp() { wait(AT_WARP_BARRIER); }
unsigned lane() { return block.current % 32; }
Mailbox* mailboxes() { return block.mailboxes + block.current / 32 * 32; }
unsigned lanes_alive() {
  unsigned alive = 0, first = block.current / 32 * 32;
  for (unsigned i = 0; i < 32 && first + i < block.order.size(); i++) alive |= (block.state[first + i] != EXITED) << i;
  return alive;
}
void device_assertion_failed(const char* what) {
  block.fault = ASSERT;
  explanation = std::string("device-side assert: ") + what;
  void* never_again;
  leave(&never_again);
}
float half_to_float(uint16_t x) {
  _Float16 half;
  memcpy(&half, &x, sizeof half);
  return half;
}
uint16_t float_to_half(float x) {
  _Float16 half = x;
  uint16_t bits;
  memcpy(&bits, &half, sizeof bits);
  return bits;
}
}

static void signal_handler(int signal) {
  block.fault = ILLEGAL_ADDRESS;
  explanation = signal == SIGFPE ? "an integer was divided by zero" : "illegal memory access";
  void* never_again;
  leave(&never_again);
}

/// Lets every thread in [first, end) pass if all that have not exited are at this barrier. False if some thread is elsewhere.
static bool release(State barrier, unsigned first, unsigned end) {
  bool waiting = false;
  for (unsigned i = first; i < end; i++) {
    if (block.state[i] != barrier && block.state[i] != EXITED) return false;
    waiting |= block.state[i] == barrier;
  }
  for (unsigned i = first; waiting && i < end; i++)
    if (block.state[i] == barrier) block.state[i] = RUNNABLE;
  return waiting;
}

static Status run_block() {
  const unsigned threads = block.order.size();
  block.fault = OK;
  block.started = 0;
  memset(block.state, NOT_STARTED, threads);
  for (unsigned fiber = 0; block.started < threads && !block.fault; fiber++) switch_stack(&block.scheduler, new_fiber(fiber));
  while (!block.fault) {
    bool released = false;
    for (unsigned warp = 0; warp < threads; warp += 32)
      released |= release(AT_WARP_BARRIER, warp, warp + 32 < threads ? warp + 32 : threads);
    if (!released && !release(AT_BLOCK_BARRIER, 0, threads)) break;
    for (unsigned thread : block.order) {
      if (block.state[thread] != RUNNABLE || block.fault) continue;
      go_on_as(thread);
      switch_stack(&block.scheduler, block.fiber[thread]);
    }
  }
  if (block.fault) return block.fault;
  for (unsigned i = 0; i < threads; i++) {
    if (block.state[i] == EXITED) continue;
    explanation = "barrier divergence: some threads wait at a barrier that others do not reach (a GPU would hang)";
    return LAUNCH_FAILED;
  }
  return OK;
}

/// 0 ... n-1: forward for SIM_ORDER=0 or unset, backward for 1, and shuffled by any other number as the seed.
static std::vector<unsigned> order_of(unsigned n) {
  const long seed = environment("SIM_ORDER", 0);
  std::vector<unsigned> order(n);
  std::iota(order.begin(), order.end(), 0);
  if (seed == 1) return {order.rbegin(), order.rend()};
  uint64_t random = seed * 2654435761u + n;
  for (unsigned i = n; seed > 1 && i > 1; i--) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    std::swap(order[i - 1], order[(random >> 33) % i]);
  }
  return order;
}

// ------------------------------------------------------------------------------------------------------- modules and launches

struct Function {
  void (*kernel)(void**);
  std::string name;
  char *shared, *shared_end;  // its __shared__ variables
};

static std::mutex device_lock;  // several host threads may launch, and there is one device

static Status launch(const Function& f, Uint3 grid, Uint3 threads, unsigned dynamic_shared, void** arguments) {
  std::lock_guard<std::mutex> guard(device_lock);
  const unsigned per_block = threads.x * threads.y * threads.z;
  if (environment("SIM_TRACE", 0))
    fprintf(stderr, "%s<<<(%u, %u, %u), (%u, %u, %u), %u>>>\n", f.name.c_str(), grid.x, grid.y, grid.z, threads.x, threads.y,
            threads.z, dynamic_shared);
  if (!per_block || per_block > MOST_THREADS || dynamic_shared + (f.shared_end - f.shared) > 48 << 10) {
    explanation = "a block has at most 1024 threads and 48 KiB of shared memory";
    return (Status)1;
  }
  gridDim = grid;
  blockDim = threads;
  block.kernel = f.kernel;
  block.arguments = arguments;
  block.order = order_of(per_block);
  for (unsigned i = 0; i < per_block; i++) block.position[i] = position(i, threads);
  struct sigaction handler = {}, before_segv, before_fpe;
  handler.sa_handler = signal_handler;
  handler.sa_flags = SA_NODEFER;  // the handler never returns
  sigaction(SIGSEGV, &handler, &before_segv);
  sigaction(SIGFPE, &handler, &before_fpe);
  Status status = OK;
  for (unsigned i : order_of(grid.x * grid.y * grid.z)) {
    blockIdx = position(i, grid);
    soil(f.shared, f.shared_end - f.shared);
    soil(dynamic_shared_memory, dynamic_shared);
    if ((status = run_block())) break;
  }
  sigaction(SIGSEGV, &before_segv, nullptr);
  sigaction(SIGFPE, &before_fpe, nullptr);
  if (status) {
    explanation = f.name + ": " + explanation;
    return status;
  }
  return check_red_zones(f.name);
}

extern "C" {
int cuModuleLoad(void** module, const char* path) {
  if ((*module = dlopen(path, RTLD_NOW | RTLD_LOCAL))) return OK;
  explanation = dlerror();
  return INVALID_IMAGE;
}
int cuModuleLoadData(void**, const void*) {
  explanation = "the emulator has no use for a cubin";
  return INVALID_IMAGE;
}
int cuModuleUnload(void*) { return OK; }  // kernels are cached, and a Function outlives its module
int cuModuleGetFunction(void** function, void* module, const char* name) {
  void* kernel = dlsym(module, (std::string("run_") + name).c_str());
  char* shared = (char*)dlsym(module, "shared_start");
  if (!kernel) return NOT_FOUND;
  *function = new Function{(void (*)(void**))kernel, name, *(char**)shared, *(char**)dlsym(module, "shared_stop")};
  return OK;
}
int cuModuleGetGlobal_v2(void** address, size_t* size, void* module, const char* name) {
  *size = 0;
  return (*address = dlsym(module, name)) ? OK : NOT_FOUND;
}
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned dynamic_shared, void*, void** arguments, void**) {
  return launch(*(Function*)function, {gx, gy, gz}, {bx, by, bz}, dynamic_shared, arguments);
}
int cuFuncGetAttribute(int* value, int attribute, void*) {
  *value = attribute == 0 ? MOST_THREADS : 32;
  return OK;
}
int cuFuncSetAttribute(void*, int, int) { return OK; }
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void*, int, size_t) {
  *blocks = 2;
  return OK;
}
int cuOccupancyMaxPotentialBlockSize(int* grid, int* size, void*, void*, size_t, int) {
  *grid = 8;
  *size = 256;
  return OK;
}

static void* const THE_CONTEXT = (void*)16;
int cuCtxGetCurrent(void** context) {
  *context = THE_CONTEXT;
  return OK;
}
int cuStreamGetCtx(void*, void** context) { return cuCtxGetCurrent(context); }
int cuCtxSetCurrent(void*) { return OK; }
int cuCtxGetDevice(int* device) {
  *device = 0;
  return OK;
}
int cuDevicePrimaryCtxRelease_v2(int) { return OK; }

int cuGetErrorName(int status, const char** name) {
  *name = status == INVALID_IMAGE     ? "CUDA_ERROR_INVALID_IMAGE"
          : status == NOT_FOUND       ? "CUDA_ERROR_NOT_FOUND"
          : status == ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS"
          : status == ASSERT          ? "CUDA_ERROR_ASSERT"
          : status == LAUNCH_FAILED   ? "CUDA_ERROR_LAUNCH_FAILED"
          : status == NOT_SUPPORTED   ? "CUDA_ERROR_NOT_SUPPORTED"
                                      : "CUDA_ERROR_INVALID_VALUE";
  return OK;
}
int cuGetErrorString(int status, const char** text) {
  static std::string kept;
  kept = status == NOT_SUPPORTED ? "the emulator does not have this" : explanation;
  *text = kept.c_str();
  return OK;
}
}
