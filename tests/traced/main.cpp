// SPDX-License-Identifier: MIT
//
// traced: does again and again what docs/tracing.md shows how to look at, until it is told to end
// (SIGTERM). Root, in a virtual machine with the module. Three processes, named after what they do:
//
//   traced-pin      pins a page and lets go of it
//   traced-refused  is no administrator, and pins more than its RLIMIT_MEMLOCK
//   traced-turns    has a turn of class low ended for one of class high, which waited for it
//
// Each rests after each round, so that who looks gets at the processor. Prints `NAME PID` of each
// and `engine ID` once all of them work, then nothing. Exits 1 when something is not as it should
// be.
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uapi/aiaccel.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

namespace {

constexpr size_t kPage = 4096;
constexpr useconds_t kRestUs = 10000;

volatile sig_atomic_t g_ended = 0;

[[noreturn]] void fail(const std::string& what) {
  fprintf(stderr, "traced: %s: %s\n", what.c_str(), strerror(errno));
  _exit(1);
}

int open_device() {
  const int device = open("/dev/aiaccel", O_RDWR | O_CLOEXEC);
  if (device < 0) fail("open");
  return device;
}

template <typename T>
void call(int device, unsigned long number, T& arg) {
  arg.size = sizeof(T);
  if (ioctl(device, number, &arg)) fail("call " + std::to_string(_IOC_NR(number)));
}

aiaccel_pin pin_of(void* memory, uint64_t length) {
  aiaccel_pin pin{};
  pin.size = sizeof pin;
  pin.addr = reinterpret_cast<uintptr_t>(memory);
  pin.length = length;
  return pin;
}

void* pages(size_t count) {
  void* memory =
      mmap(nullptr, count * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("mmap");
  memset(memory, 1, count * kPage);
  return memory;
}

// The number by which STATS and REVOKE know it.
uint64_t number_of(int device) {
  std::ifstream file("/proc/self/fdinfo/" + std::to_string(device));
  const std::string key = "aiaccel-context:\t";
  for (std::string line; std::getline(file, line);)
    if (line.rfind(key, 0) == 0) return std::stoull(line.substr(key.size()));
  fail("fdinfo has no number");
}

uint32_t register_engine(int device) {
  aiaccel_engine_register make{};
  make.kind = AIACCEL_ENGINE_GPU;
  make.enforcement = AIACCEL_GATED;
  make.slots = 1;
  snprintf(make.name, sizeof make.name, "traced-%d", getpid());
  strcpy(make.provider, "tests");
  call(device, AIACCEL_IOC_ENGINE_REGISTER, make);
  return make.id;
}

// A job on a new queue; with `wait` its turn has begun.
void submit(int device, uint32_t engine, uint32_t class_, bool wait) {
  aiaccel_queue_create queue{};
  queue.engine = engine;
  queue.class_ = class_;
  call(device, AIACCEL_IOC_QUEUE_CREATE, queue);
  aiaccel_job job{};
  job.queue = queue.id;
  job.cookie = 1;
  job.width = 1;
  aiaccel_enter enter{};
  enter.jobs = reinterpret_cast<uintptr_t>(&job);
  enter.nr_jobs = 1;
  enter.min_events = wait ? 1 : 0;
  enter.timeout_ns = AIACCEL_NEVER;
  call(device, AIACCEL_IOC_ENTER, enter);
}

[[noreturn]] void pin_and_let_go() {
  const int device = open_device();
  void* const page = pages(1);
  for (;; usleep(kRestUs)) {
    aiaccel_pin pin = pin_of(page, kPage);
    call(device, AIACCEL_IOC_PIN, pin);
    aiaccel_destroy destroy{};
    destroy.id = pin.id;
    call(device, AIACCEL_IOC_DESTROY, destroy);
  }
}

[[noreturn]] void be_refused() {
  const int device = open_device();
  const rlimit one_page{kPage, kPage};
  if (setrlimit(RLIMIT_MEMLOCK, &one_page)) fail("setrlimit");
  if (setresuid(4313, 4313, 4313)) fail("setresuid");
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // which a change of user takes back
  void* const two = pages(2);
  for (;; usleep(kRestUs)) {
    aiaccel_pin pin = pin_of(two, 2 * kPage);
    if (!ioctl(device, AIACCEL_IOC_PIN, &pin) || errno != ENOMEM ||
        pin.refused_by != AIACCEL_REFUSED_RLIMIT)
      fail("not refused by the limit");
  }
}

[[noreturn]] void take_turns(uint32_t engine) {
  for (;; usleep(kRestUs)) {
    const int holder = open_device(), other = open_device();
    submit(holder, engine, AIACCEL_CLASS_LOW, true);
    submit(other, engine, AIACCEL_CLASS_HIGH, false);
    usleep(kRestUs);
    aiaccel_revoke revoke{};
    revoke.context = number_of(holder);
    call(other, AIACCEL_IOC_REVOKE, revoke);  // or the scheduler did it meanwhile
    close(holder);
    close(other);
  }
}

template <typename Body>
pid_t start(const char* name, const Body& body) {
  const pid_t parent = getpid(), child = fork();
  if (child < 0) fail("fork");
  if (child) {
    printf("%s %d\n", name, child);
    return child;
  }
  signal(SIGTERM, SIG_DFL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  prctl(PR_SET_NAME, name);
  body();
  _exit(1);
}

}  // namespace

int main() {
  setvbuf(stdout, nullptr, _IOFBF, BUFSIZ);
  struct sigaction action {};
  action.sa_handler = [](int) { g_ended = 1; };  // wait() is interrupted
  sigaction(SIGTERM, &action, nullptr);
  const int device = open_device();
  const uint32_t engine = register_engine(device);
  const pid_t children[] = {start("traced-pin", pin_and_let_go),
                            start("traced-refused", be_refused),
                            start("traced-turns", [engine] { take_turns(engine); })};
  printf("engine %u\n", engine);
  fflush(stdout);
  const bool as_told = wait(nullptr) < 0 && errno == EINTR && g_ended;
  for (const pid_t child : children) kill(child, SIGKILL);
  while (wait(nullptr) >= 0 || errno == EINTR) continue;
  aiaccel_engine_unregister unregister{};
  unregister.id = engine;
  call(device, AIACCEL_IOC_ENGINE_UNREGISTER, unregister);
  return as_told ? 0 : 1;
}
