// SPDX-License-Identifier: MIT
//
// DRM's render nodes; see aiaccel/drm.hpp.
//
// Nodes are listed from sysfs and not by drmGetDevices2(): that leaves out what is on a bus which
// the installed libdrm does not know, such as vgem on newer kernels.
#include <aiaccel/drm.hpp>

#include <dlfcn.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include <aiaccel/error.hpp>

#include "backends/drm_api.h"
#include "mutex.h"

namespace aiaccel::drm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "renderD";

// Loaded once, never unloaded: objects may be closed at the very end of the program.
const Api& libdrm() {
  struct Loaded {
    Api api;
    std::string missing;
    Loaded() {
      void* const library = dlopen("libdrm.so.2", RTLD_NOW | RTLD_LOCAL);
      if (!library) {
        const char* const why = dlerror();
        missing = why ? why : "libdrm.so.2 does not load";
        return;
      }
#define AIACCEL_DRM_LOAD(name, arguments)                               \
  api.name = reinterpret_cast<int(*) arguments>(dlsym(library, #name)); \
  if (!api.name && missing.empty()) missing = "libdrm.so.2 has no " #name;
      AIACCEL_DRM_FUNCTIONS(AIACCEL_DRM_LOAD)
#undef AIACCEL_DRM_LOAD
    }
  };
  static const Loaded loaded;
  if (!loaded.missing.empty()) throw Error(ENOSYS, loaded.missing);
  return loaded.api;
}

// The first word of a file; "" where there is none.
std::string word_of(const fs::path& file) {
  std::string word;
  std::ifstream(file) >> word;
  return word;
}

// A number in C's notation, or `otherwise`.
long long number_of(const fs::path& file, long long otherwise) {
  const std::string word = word_of(file);
  const bool hex = word.starts_with("0x");
  const char* const start = word.data() + (hex ? 2 : 0);
  const char* const end = word.data() + word.size();
  long long number = 0;
  const auto [at, error] = std::from_chars(start, end, number, hex ? 16 : 10);
  return error == std::errc() && at == end && at != start ? number : otherwise;
}

// Of a PCI device what its class says: display controllers and processing accelerators. Else
// whatever has a driver is taken for a GPU, as on systems on a chip; but what is on the bus "faux"
// is a driver without a device, such as vgem on newer kernels.
bool is_gpu(const fs::path& device, const std::string& driver) {
  const long long class_ = number_of(device / "class", -1);
  std::error_code none;
  if (class_ < 0)
    return !driver.empty() && fs::read_symlink(device / "subsystem", none).filename() != "faux";
  return class_ >> 16 == 0x03 || class_ >> 16 == 0x12;
}

RenderNode describe(const fs::path& entry) {
  std::error_code none;
  const fs::path device = entry / "device";
  RenderNode node;
  node.path = "/dev/dri/" + entry.filename().string();
  node.name = fs::canonical(device, none).filename().string();
  node.driver = fs::read_symlink(device / "driver", none).filename().string();
  node.numa_node = static_cast<int>(std::clamp(number_of(device / "numa_node", -1), -1LL, 65535LL));
  node.device_bytes =
      static_cast<std::uint64_t>(std::max(number_of(device / "mem_info_vram_total", 0), 0LL));
  node.gpu = is_gpu(device, node.driver);
  return node;
}

template <std::size_t N>
void put_name(const std::string& name, char (&to)[N]) {
  const bool good =
      !name.empty() && name.size() < N &&
      std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (!good) throw Error(EINVAL, "no engine can be called \"" + name + "\"");
  std::memcpy(to, name.data(), name.size());
}

[[noreturn]] void fail(const char* what) {
  throw Error(errno, what);
}

}  // namespace

std::vector<RenderNode> render_nodes(const std::string& sys) {
  std::map<long long, RenderNode> by_number;
  std::error_code none;
  fs::directory_iterator entry(fs::path(sys) / "class/drm", none);
  for (; !none && entry != fs::directory_iterator(); entry.increment(none)) {
    const std::string name = entry->path().filename();
    if (!name.starts_with(kPrefix)) continue;
    long long number = -1;
    const char* const end = name.data() + name.size();
    const auto [at, error] = std::from_chars(name.data() + kPrefix.size(), end, number);
    if (error != std::errc() || at != end) continue;
    RenderNode node = describe(entry->path());
    if (!node.name.empty()) by_number.emplace(number, std::move(node));
  }
  std::vector<RenderNode> nodes;
  for (auto& [number, node] : by_number) nodes.push_back(std::move(node));
  return nodes;
}

aiaccel_engine_register engine_of(const RenderNode& node) {
  aiaccel_engine_register engine{};
  engine.size = sizeof engine;
  engine.kind = node.gpu ? AIACCEL_ENGINE_GPU : AIACCEL_ENGINE_OTHER;
  engine.enforcement = AIACCEL_ADVISORY;
  engine.slots = 1;
  engine.numa_node = node.numa_node;
  engine.device_bytes = node.device_bytes;
  put_name(node.name, engine.name);
  put_name(fs::path(node.path).filename(), engine.alias);
  put_name(node.driver.empty() ? "drm" : node.driver, engine.provider);
  return engine;
}

struct Node::State {
  explicit State(Descriptor opened) : api(libdrm()), file(std::move(opened)) {}

  // The handle of a descriptor and its count together, so that nobody closes it in between.
  std::uint32_t import(int prime) {
    Lock lock(mutex);
    std::uint32_t handle = 0;
    if (api.drmPrimeFDToHandle(file.get(), prime, &handle) != 0)
      fail("the driver does not take the buffer");
    try {
      ++objects[handle];
    } catch (...) {  // no room for the count, so it is the first
      close(handle);
      throw;
    }
    return handle;
  }

  void hold(std::uint32_t handle) {
    Lock lock(mutex);
    ++objects[handle];
  }

  void drop(std::uint32_t handle) noexcept {
    Lock lock(mutex);
    const auto found = objects.find(handle);
    if (found == objects.end() || --found->second) return;
    objects.erase(found);
    close(handle);
  }

  void close(std::uint32_t handle) noexcept REQUIRES(mutex) {
    GemClose arg{handle, 0};
    api.drmIoctl(file.get(), kGemClose, &arg);
  }

  const Api& api;
  const Descriptor file;
  Mutex mutex;
  std::map<std::uint32_t, unsigned> objects GUARDED_BY(mutex);
};

Node::Node(const std::string& path) {
  libdrm();  // what is missing is said before what cannot be opened
  Descriptor opened(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!opened) throw Error(errno, "cannot open " + path);
  state_ = std::make_shared<State>(std::move(opened));
}

Node::Node(Descriptor opened) : state_(std::make_shared<State>(std::move(opened))) {}

int Node::fd() const noexcept {
  return state_->file.get();
}

Object Node::import(const Descriptor& dma_buf) const {
  const std::uint32_t handle = state_->import(dma_buf.get());
  return Object(state_, handle);
}

Object Node::adopt(std::uint32_t handle) const {
  state_->hold(handle);
  return Object(state_, handle);
}

Object::Object(std::shared_ptr<Node::State> state, std::uint32_t handle)
    : state_(std::move(state)), handle_(handle) {}

Object::Object(Object&& other) noexcept
    : state_(std::move(other.state_)), handle_(std::exchange(other.handle_, 0)) {}

Object& Object::operator=(Object&& other) noexcept {
  Object now(std::move(other));  // what this was goes with it, at once
  std::swap(state_, now.state_);
  std::swap(handle_, now.handle_);
  return *this;
}

Object::~Object() {
  if (state_) state_->drop(handle_);
}

Descriptor Object::export_fd() const {
  int prime = -1;
  if (state_->api.drmPrimeHandleToFD(state_->file.get(), handle_, kCloseOnExec | kReadWrite,
                                     &prime))
    fail("the driver does not export the object");
  return Descriptor(prime);
}

}  // namespace aiaccel::drm
