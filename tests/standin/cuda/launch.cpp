// SPDX-License-Identifier: MIT
//
// Modules, kernels and their launch, and host functions.
//
// Every kernel is the same one, whatever its name: kernel(uint64_t ns, uint64_t tag, uint64_t*
// where) keeps the engine for that long, writes *where = *where * 31 + tag where there is one (so
// that the order of kernels can be read from what they leave), and has a line in the log where tag
// is not 0. tests/standin/programs/work.cu is that kernel for a real device.
//
// A module is any image. A text one has the functions whose names are words of it; of a binary one
// every name is a function.
#include <cctype>
#include <cstdio>
#include <cstring>
#include <string>

#include "driver.h"

struct CUfunc_st {
  std::string name;
};

struct CUkern_st {
  CUfunc_st function;
  CUlibrary library;
};

struct CUmod_st {
  std::string text;  // empty: binary
  std::map<std::string, std::unique_ptr<CUfunc_st>> functions{};
};

struct CUlib_st {
  CUmod_st module;
  std::map<std::string, std::unique_ptr<CUkern_st>> kernels{};
};

namespace standin {
namespace {

// Guarded by the driver's mutex; not in Driver, since nobody else knows of them.
Table<CUmod_st>& modules() {
  static auto* const table = new Table<CUmod_st>;
  return *table;
}

Table<CUlib_st>& libraries() {
  static auto* const table = new Table<CUlib_st>;
  return *table;
}

bool word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$';
}

bool names(const CUmod_st& module, const std::string& name) {
  if (name.empty()) return false;
  if (module.text.empty()) return true;
  for (size_t at = module.text.find(name); at != std::string::npos;
       at = module.text.find(name, at + 1)) {
    const size_t end = at + name.size();
    if ((at == 0 || !word(module.text[at - 1])) &&
        (end == module.text.size() || !word(module.text[end])))
      return true;
  }
  return false;
}

bool binary(const void* image) {
  static constexpr unsigned char kElf[] = {0x7f, 'E', 'L', 'F'};
  static constexpr unsigned char kFat[] = {0x50, 0xed, 0x55, 0xba};  // a fat binary
  static constexpr unsigned char kWrapper[] = {0xb1, 0x43, 0x62,
                                               0x46};  // what nvcc points to it with
  return !memcmp(image, kElf, 4) || !memcmp(image, kFat, 4) || !memcmp(image, kWrapper, 4);
}

CUresult read_image(const void* image, CUmod_st* module) {
  if (!image) return CUDA_ERROR_INVALID_VALUE;
  if (binary(image)) return CUDA_SUCCESS;
  module->text = static_cast<const char*>(image);
  return module->text.empty() ? CUDA_ERROR_INVALID_IMAGE : CUDA_SUCCESS;
}

CUresult load(CUmodule* module, const void* image) {
  return with_context([&](Lock& lock, CUcontext) {
    if (const CUresult error = unsafe(lock); error != CUDA_SUCCESS) return error;
    auto loaded = std::make_unique<CUmod_st>();
    const CUresult error = read_image(image, loaded.get());
    if (error == CUDA_SUCCESS) *module = modules().add(std::move(loaded));
    return error;
  });
}

CUresult function_of(CUmod_st& module, const char* name, CUfunction* function) {
  if (!name || !function) return CUDA_ERROR_INVALID_VALUE;
  if (!names(module, name)) return CUDA_ERROR_NOT_FOUND;
  auto& entry = module.functions[name];
  if (!entry) entry.reset(new CUfunc_st{name});
  *function = entry.get();
  return CUDA_SUCCESS;
}

struct Parameters {
  std::uint64_t ns;
  std::uint64_t tag;
  std::uint64_t* where;
};

void run_kernel(const Parameters& parameters) {
  Shared& shared = driver().shared;
  shared.engine_lock();
  const std::uint64_t start_ns = now_ns();
  wait_until_ns(start_ns + parameters.ns);
  if (parameters.where) *parameters.where = *parameters.where * 31 + parameters.tag;
  if (parameters.tag) shared.log(parameters.tag, start_ns, now_ns());
  shared.engine_unlock();
}

CUresult launch(CUfunction function, unsigned grid, unsigned block, CUstream handle,
                void** parameters, void** extra) {
  if (const CUresult error = entry(); error != CUDA_SUCCESS) return error;
  LaunchTime time;
  return with_stream(handle, [&](Lock& lock, CUstream stream) {
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    if (!grid || !block) return CUDA_ERROR_INVALID_VALUE;
    Op op;
    const CUresult error = kernel(parameters, extra, &op);
    return error == CUDA_SUCCESS ? push(lock, stream, std::move(op)) : error;
  });
}

}  // namespace

CUresult kernel(void** values, void** extra, Op* op) {
  Parameters parameters = {};
  if (values) {
    memcpy(&parameters.ns, values[0], sizeof parameters.ns);
    memcpy(&parameters.tag, values[1], sizeof parameters.tag);
    memcpy(&parameters.where, values[2], sizeof parameters.where);
  } else if (extra) {
    const void* buffer = nullptr;
    size_t size = 0;
    for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
      if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = extra[1];
      if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE) size = *static_cast<const size_t*>(extra[1]);
    }
    if (!buffer || size != sizeof parameters) return CUDA_ERROR_INVALID_VALUE;
    memcpy(&parameters, buffer, sizeof parameters);
  } else {
    return CUDA_ERROR_INVALID_VALUE;
  }
  op->unit = Unit::kCompute;
  op->run = [parameters] { run_kernel(parameters); };
  return CUDA_SUCCESS;
}

}  // namespace standin

using namespace standin;

STANDIN_API cuModuleLoad(CUmodule* module, const char* path) {
  FILE* const file = path ? fopen(path, "r") : nullptr;
  if (!file) return CUDA_ERROR_FILE_NOT_FOUND;
  std::string image;
  for (int c; (c = getc(file)) != EOF;) image.push_back(char(c));
  fclose(file);
  image.append(4, '\0');
  return load(module, image.data());
}

STANDIN_API cuModuleLoadData(CUmodule* module, const void* image) {
  return load(module, image);
}

STANDIN_API cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned, CUjit_option*,
                               void**) {
  return load(module, image);
}

STANDIN_API cuModuleLoadFatBinary(CUmodule* module, const void* image) {
  return load(module, image);
}

STANDIN_API cuModuleUnload(CUmodule module) {
  return with_context([&](Lock& lock, CUcontext context) {
    wait_idle(lock, context);
    return modules().drop(module) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

STANDIN_API cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  return with_context([&](Lock&, CUcontext) {
    const bool of_library = [&] {
      bool found = false;
      libraries().each([&](CUlib_st& library) { found |= &library.module == module; });
      return found;
    }();
    if (!of_library && !modules().has(module)) return CUDA_ERROR_INVALID_HANDLE;
    return function_of(*module, name, function);
  });
}

STANDIN_API cuLibraryLoadData(CUlibrary* library, const void* image, CUjit_option*, void**,
                              unsigned, CUlibraryOption*, void**, unsigned) {
  return with_driver([&](Lock& lock) {
    if (const CUresult error = unsafe(lock); error != CUDA_SUCCESS) return error;
    auto loaded = std::make_unique<CUlib_st>();
    const CUresult error = read_image(image, &loaded->module);
    if (error == CUDA_SUCCESS) *library = libraries().add(std::move(loaded));
    return error;
  });
}

STANDIN_API cuLibraryUnload(CUlibrary library) {
  return with_driver(
      [&](Lock&) { return libraries().drop(library) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE; });
}

STANDIN_API cuLibraryGetModule(CUmodule* module, CUlibrary library) {
  return with_context([&](Lock&, CUcontext) {
    if (!libraries().has(library)) return CUDA_ERROR_INVALID_HANDLE;
    *module = &library->module;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuLibraryGetKernel(CUkernel* kernel, CUlibrary library, const char* name) {
  return with_driver([&](Lock&) {
    if (!libraries().has(library)) return CUDA_ERROR_INVALID_HANDLE;
    if (!names(library->module, name)) return CUDA_ERROR_NOT_FOUND;
    auto& entry = library->kernels[name];
    if (!entry) entry.reset(new CUkern_st{{name}, library});
    *kernel = entry.get();
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
  return with_context([&](Lock&, CUcontext) {
    if (!kernel) return CUDA_ERROR_INVALID_HANDLE;
    *function = &kernel->function;
    return CUDA_SUCCESS;
  });
}

STANDIN_API cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                           unsigned block_x, unsigned block_y, unsigned block_z, unsigned,
                           CUstream stream, void** parameters, void** extra) {
  return launch(function, grid_x * grid_y * grid_z, block_x * block_y * block_z, stream, parameters,
                extra);
}

STANDIN_API cuLaunchKernel_ptsz(CUfunction function, unsigned grid_x, unsigned grid_y,
                                unsigned grid_z, unsigned block_x, unsigned block_y,
                                unsigned block_z, unsigned, CUstream stream, void** parameters,
                                void** extra) {
  return launch(function, grid_x * grid_y * grid_z, block_x * block_y * block_z, per_thread(stream),
                parameters, extra);
}

STANDIN_API cuLaunchCooperativeKernel(CUfunction function, unsigned grid_x, unsigned grid_y,
                                      unsigned grid_z, unsigned block_x, unsigned block_y,
                                      unsigned block_z, unsigned, CUstream stream,
                                      void** parameters) {
  return launch(function, grid_x * grid_y * grid_z, block_x * block_y * block_z, stream, parameters,
                nullptr);
}

STANDIN_API cuLaunchCooperativeKernel_ptsz(CUfunction function, unsigned grid_x, unsigned grid_y,
                                           unsigned grid_z, unsigned block_x, unsigned block_y,
                                           unsigned block_z, unsigned, CUstream stream,
                                           void** parameters) {
  return launch(function, grid_x * grid_y * grid_z, block_x * block_y * block_z, per_thread(stream),
                parameters, nullptr);
}

STANDIN_API cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** parameters,
                             void** extra) {
  return launch(function, config->gridDimX * config->gridDimY * config->gridDimZ,
                config->blockDimX * config->blockDimY * config->blockDimZ, config->hStream,
                parameters, extra);
}

STANDIN_API cuLaunchKernelEx_ptsz(const CUlaunchConfig* config, CUfunction function,
                                  void** parameters, void** extra) {
  return launch(function, config->gridDimX * config->gridDimY * config->gridDimZ,
                config->blockDimX * config->blockDimY * config->blockDimZ,
                per_thread(config->hStream), parameters, extra);
}

STANDIN_API cuLaunchHostFunc(CUstream handle, CUhostFn function, void* data) {
  return with_stream(handle, [&](Lock& lock, CUstream stream) {
    if (!function) return CUDA_ERROR_INVALID_VALUE;
    return push(lock, stream, {Unit::kHost, [=] { call_host([=] { function(data); }); }});
  });
}

STANDIN_API cuLaunchHostFunc_ptsz(CUstream stream, CUhostFn function, void* data) {
  return cuLaunchHostFunc(per_thread(stream), function, data);
}

STANDIN_API cuStreamAddCallback(CUstream handle, CUstreamCallback callback, void* data,
                                unsigned flags) {
  return with_stream(handle, [&](Lock& lock, CUstream stream) {
    if (!callback || flags) return CUDA_ERROR_INVALID_VALUE;
    if (stream->capture) {  // not supported by graphs
      invalidate(lock, *stream->capture);
      return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return push(lock, stream,
                {Unit::kHost, [=] { call_host([=] { callback(handle, CUDA_SUCCESS, data); }); }});
  });
}

STANDIN_API cuStreamAddCallback_ptsz(CUstream stream, CUstreamCallback callback, void* data,
                                     unsigned flags) {
  return cuStreamAddCallback(per_thread(stream), callback, data, flags);
}
