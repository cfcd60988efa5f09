// SPDX-License-Identifier: MIT
//
// A program that uses CUDA and knows nothing of aiaccel: client WAY STEP… Steps, each done before
// the next one begins; what fails is told on stdout as `STEP: error N`:
//
//   launch:N:US[:TAG]   N kernels of US microseconds, on the stream chosen
//   ex, cooperative     one kernel of 1 ms through that call
//   stream, default     the steps that follow use a stream of their own, or the default one; with
//                       `stream:0` one that waits for the default one
//   capture, capture_end  begins a capture in global mode on that stream, and ends it
//   sync                waits for all
//   say:WORD            prints it
//   wait                until a line comes on stdin
//   … and those of main() below
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "client/ask.hpp"
#include "client/cuda.hpp"

using namespace client;

namespace {

constexpr size_t kMiB = size_t{1} << 20;

struct Program {
  Cuda cuda;
  std::string way;
  Context context = nullptr;
  Handle function = nullptr;
  Stream stream = nullptr;
  std::vector<Address> held;
  unsigned long long tag = 0;

  void begin();
  Result launch(unsigned long long us, unsigned long long tagged, int how = 0);
};

void check(const char* what, Result result) {
  if (result == kSuccess) return;
  printf("%s: error %d\n", what, result);
  fflush(stdout);
}

void Program::begin() {
  check("init", cuda.init(0));
  check("retain", cuda.primary_retain(&context, 0));
  check("set", cuda.context_set(context));
  Handle module = nullptr;
  check("module", cuda.module_load(&module, "work"));
  check("function", cuda.module_function(&function, module, "work"));
}

Result Program::launch(unsigned long long us, unsigned long long tagged, int how) {
  unsigned long long ns = us * 1000;
  unsigned long long where = 0;
  void* parameters[] = {&ns, &tagged, &where};
  if (how == 1) {
    LaunchConfig config{};
    config.grid[0] = config.grid[1] = config.grid[2] = 1;
    config.block[0] = config.block[1] = config.block[2] = 1;
    config.stream = stream;
    return cuda.launch_ex(&config, function, parameters, nullptr);
  }
  if (how == 2) return cuda.launch_cooperative(function, 1, 1, 1, 1, 1, 1, 0, stream, parameters);
  return cuda.launch(function, 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr);
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ':');) parts.push_back(part);
  return parts;
}

unsigned long long number(const std::vector<std::string>& step, size_t at,
                          unsigned long long otherwise = 0) {
  return at < step.size() ? strtoull(step[at].c_str(), nullptr, 0) : otherwise;
}

void print_info(Program& p) {
  size_t left = 0;
  size_t all = 0;
  size_t total = 0;
  check("info", p.cuda.memory_info(&left, &all));
  check("total", p.cuda.total(&total, 0));
  printf("info %zu %zu %zu\n", left / kMiB, all / kMiB, total / kMiB);
}

// Launches `n` into a capture on a stream, global mode, and then the graph. Without the flag 1 the
// stream is one that waits for the default one.
void graph(Program& p, unsigned long long n, unsigned long long us, unsigned flags) {
  Stream before = p.stream;
  check("create", p.cuda.stream_create(&p.stream, flags));
  check("begin", p.cuda.capture_begin(p.stream, 0));
  for (unsigned long long i = 0; i < n; ++i) check("captured", p.launch(us, ++p.tag));
  printf("captured\n");
  fflush(stdout);
  usleep(20'000);  // so that whatever looks at streams does so now
  Handle graph = nullptr;
  Handle exec = nullptr;
  check("end", p.cuda.capture_end(p.stream, &graph));
  check("instantiate", p.cuda.graph_instantiate(&exec, graph, 0));
  check("graph", p.cuda.graph_launch(exec, p.stream));
  check("sync", p.cuda.stream_synchronize(p.stream));
  check("destroy", p.cuda.stream_destroy(p.stream));
  p.stream = before;
}

void threads(Program& p, unsigned long long n, unsigned long long launches) {
  std::vector<std::thread> all;
  for (unsigned long long i = 0; i < n; ++i)
    all.emplace_back([&p, launches, i] {
      Program mine = p;
      check("set", mine.cuda.context_set(mine.context));
      if (i % 2) check("create", mine.cuda.stream_create(&mine.stream, 1));
      for (unsigned long long k = 0; k < launches; ++k) check("launch", mine.launch(20, 100 + i));
      check("sync", mine.cuda.stream_synchronize(mine.stream));
      if (mine.stream) check("destroy", mine.cuda.stream_destroy(mine.stream));
    });
  for (std::thread& thread : all) thread.join();
}

void create_and_map(Program& p, unsigned long long mib) {
  AllocationProperties wanted{};
  wanted.type = 1;
  wanted.location_type = 1;
  Address handle = 0;
  Address address = 0;
  check("create", p.cuda.create(&handle, mib * kMiB, &wanted, 0));
  check("reserve", p.cuda.reserve(&address, mib * kMiB, 0, 0, 0));
  check("map", p.cuda.map(address, mib * kMiB, 0, handle, 0));
  check("release", p.cuda.create_release(handle));
  print_info(p);  // it is held by its mapping
  check("unmap", p.cuda.unmap(address, mib * kMiB));
  print_info(p);
}

// Allocates in a green context, which then goes; with `last` so does the primary one before it.
void green(Program& p, unsigned long long mib, bool last) {
  Handle made = nullptr;
  Context context = nullptr;
  Address address = 0;
  check("green", p.cuda.green_create(&made, nullptr, 0, 0));
  check("context", p.cuda.green_context(&context, made));
  check("set", p.cuda.context_set(context));
  check("alloc", p.cuda.alloc(&address, mib * kMiB));
  check("launch", p.launch(100, ++p.tag));
  if (last) check("release", p.cuda.primary_release(0));
  check("green_destroy", p.cuda.green_destroy(made));
  if (last) check("retain", p.cuda.primary_retain(&p.context, 0));
  check("set", p.cuda.context_set(p.context));
  print_info(p);
  if (!last) check("free", p.cuda.release(address));
}

// What another program's child does.
int in_child(const std::function<void()>& f) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    f();
    fflush(stdout);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

void run(Program& p, const std::string& text, char** argv) {
  const std::vector<std::string> step = split(text);
  const std::string& what = step[0];
  const unsigned long long n = number(step, 1, 1);
  if (what == "begin") {
    p.begin();
  } else if (what == "launch") {
    for (unsigned long long i = 0; i < n; ++i)
      check("launch", p.launch(number(step, 2, 100), step.size() > 3 ? number(step, 3) : ++p.tag));
  } else if (what == "ex") {
    check("ex", p.launch(1000, ++p.tag, 1));
  } else if (what == "cooperative") {
    check("cooperative", p.launch(1000, ++p.tag, 2));
  } else if (what == "stream") {
    check("create", p.cuda.stream_create(&p.stream, static_cast<unsigned>(n)));
  } else if (what == "capture") {
    check("capture", p.cuda.capture_begin(p.stream, 0));
  } else if (what == "capture_end") {
    Handle graph = nullptr;
    check("capture_end", p.cuda.capture_end(p.stream, &graph));
  } else if (what == "destroy") {
    check("destroy", p.cuda.stream_destroy(p.stream));
    p.stream = nullptr;
  } else if (what == "default") {
    p.stream = nullptr;
  } else if (what == "sync") {
    check("sync", p.cuda.synchronize());
  } else if (what == "graph") {
    graph(p, n, number(step, 2, 100), static_cast<unsigned>(number(step, 3, 1)));
  } else if (what == "threads") {
    threads(p, n, number(step, 2, 10));
  } else if (what == "alloc") {  // MiB
    Address address = 0xdead;
    const Result result = p.cuda.alloc(&address, n * kMiB);
    check("alloc", result);
    if (result == kSuccess) p.held.push_back(address);
    if (result != kSuccess && address != 0xdead) printf("alloc: touched\n");
  } else if (what == "free") {
    for (Address address : p.held) check("free", p.cuda.release(address));
    p.held.clear();
  } else if (what == "alloc_async") {
    Address address = 0;
    check("alloc_async", p.cuda.alloc_async(&address, n * kMiB, p.stream));
    print_info(p);
    if (address) check("free_async", p.cuda.free_async(address, p.stream));
  } else if (what == "array") {
    const Array2D wanted{1024, n * 1024, 1, 1};  // MiB
    Handle array = nullptr;
    check("array", p.cuda.array_create(&array, &wanted));
    print_info(p);
    if (array) check("array_destroy", p.cuda.array_destroy(array));
  } else if (what == "create") {
    create_and_map(p, n);
  } else if (what == "hold") {  // without an address
    AllocationProperties wanted{};
    wanted.type = 1;
    wanted.location_type = 1;
    Address handle = 0;
    check("hold", p.cuda.create(&handle, n * kMiB, &wanted, 0));
  } else if (what == "total") {
    size_t total = 0;
    check("total", p.cuda.total(&total, 0));
    printf("total %zu\n", total / kMiB);
  } else if (what == "context") {  // with memory of its own, which goes with it
    Context own = nullptr;
    Address address = 0;
    check("context", p.cuda.context_create(&own, 0, 0));
    check("alloc", p.cuda.alloc(&address, n * kMiB));
    check("launch", p.launch(number(step, 2, 100), ++p.tag));
    check("context_destroy", p.cuda.context_destroy(own));
    check("set", p.cuda.context_set(p.context));
  } else if (what == "release") {  // the primary context, with what is held in it
    check("release", p.cuda.primary_release(0));
    p.held.clear();
  } else if (what == "green") {
    green(p, n, number(step, 2) != 0);
  } else if (what == "info") {
    print_info(p);
  } else if (what == "copy") {  // MiB in and out
    std::vector<unsigned char> bytes(n * kMiB, 7);
    Address address = 0;
    check("alloc", p.cuda.alloc(&address, bytes.size()));
    check("copy_in", p.cuda.copy_in(address, bytes.data(), bytes.size()));
    std::vector<unsigned char> back(bytes.size());
    check("copy_out", p.cuda.copy_out(back.data(), address, back.size()));
    if (back != bytes) printf("copy: wrong\n");
    check("free", p.cuda.release(address));
  } else if (what == "fork") {  // the driver is of no use in a child: it says so and nothing hangs
    in_child([&] { printf("child launch %d\n", p.launch(10, ++p.tag) != kSuccess); });
  } else if (what == "exec") {  // this program again
    in_child([&] {
      const std::string rest = text.substr(5);
      std::vector<char*> arguments = {argv[0], argv[1]};
      std::string all = rest;
      for (char* part = strtok(all.data(), ","); part; part = strtok(nullptr, ","))
        arguments.push_back(part);
      arguments.push_back(nullptr);
      execv("/proc/self/exe", arguments.data());
    });
  } else if (what == "atexit") {
    static Program* late = &p;
    atexit([] {
      check("set", late->cuda.context_set(late->context));  // the thread may have lost its own
      check("late", late->launch(100, 77));
      printf("late\n");
    });
  } else if (what == "linger") {  // as the program ends
    atexit([] {
      printf("lingers\n");
      fflush(stdout);
      getchar();
    });
  } else if (what == "children") {  // how many signals of children have come
    static std::atomic<int> signals{0};
    if (n == 0)
      signal(SIGCHLD, [](int) { ++signals; });
    else
      printf("children %d\n", signals.load());
  } else if (what == "say") {
    printf("%s\n", step.at(1).c_str());
  } else if (what == "wait") {
    fflush(stdout);
    char line[64];
    if (!fgets(line, sizeof line, stdin)) return;
  } else if (what == "sleep") {
    usleep(static_cast<useconds_t>(n * 1000));
  } else {
    printf("%s: unknown\n", what.c_str());
  }
  fflush(stdout);
}

// A launch that only this driver knows, looked up twice.
int launch_newer() {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW);
  for (int i = 0; driver && i < 2; ++i)
    if (const auto launch = reinterpret_cast<int (*)()>(dlsym(driver, "cuLaunchKernelByWish")))
      printf("%d\n", launch());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  if (strcmp(argv[1], "newer") == 0) return launch_newer();
  if (strcmp(argv[1], "ask") == 0) return ask();
  if (strcmp(argv[1], "meant") == 0) return ask_meant();
  if (strcmp(argv[1], "storm") == 0) return storm(argv[2]);
  static Program program;  // for what is called at exit
  program.way = argv[1];
  program.cuda = find(argv[1]);
  for (int i = 2; i < argc; ++i) run(program, argv[i], argv);
  return 0;
}
