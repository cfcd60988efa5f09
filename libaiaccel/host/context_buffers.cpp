// SPDX-License-Identifier: MIT
//
// ALLOC, PIN, BUFFER_INFO, QUOTA, EXPORT, IMPORT, BUFFER_REVOKE: what is charged for buffers and
// who has them; the memory is made and let go at the client's side. All under the Host's mutex.
//
// A buffer is charged to who made it until the last id of it goes, in whatever context. An id that
// came by IMPORT counts as a line of the importer's tenant, since the arbiter remembers it.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "host/context.h"

namespace aiaccel::host {

int Context::add_buffer(const Buffer& buffer, uint32_t* id, uint32_t* refused_by) {
  uint64_t offset = 0;
  if (buffer.kind == AIACCEL_BUFFER_ALLOCATED)
    if (int error = next_offset(buffer.charged_bytes, &offset, refused_by)) return error;
  return add_handle({std::make_shared<Buffer>(buffer), false, offset}, id, refused_by);
}

// The place of so many bytes among the offsets of mmap; taken by add_handle().
int Context::next_offset(uint64_t bytes, uint64_t* offset, uint32_t* refused_by) {
  if (bytes > (1ULL << 62) - next_offset_) {  // more than an offset can name
    *refused_by = AIACCEL_REFUSED_MEMORY;
    return -ENOMEM;
  }
  *offset = next_offset_;
  return 0;
}

int Context::add_handle(Handle handle, uint32_t* id, uint32_t* refused_by) {
  if (buffers_.size() >= kMaxBuffers) {
    *refused_by = AIACCEL_REFUSED_CONTEXT;
    return -EDQUOT;
  }
  const uint32_t fresh = new_id();
  const auto added = buffers_.emplace(fresh, std::move(handle)).first;
  if (int error = charge(added->second, refused_by)) {
    buffers_.erase(added);
    return error;
  }
  ++added->second.buffer->handles;
  if (added->second.mmap_offset) next_offset_ += whole_pages(added->second.buffer->length);
  *id = fresh;
  return 0;
}

int Context::charge(const Handle& handle, uint32_t* refused_by) {
  const Buffer& buffer = *handle.buffer;
  if (aia_limit_charge(handle.foreign ? &tenant_->lines : &tenant_->buffers, 1)) {
    *refused_by = AIACCEL_REFUSED_TENANT;
    return -EDQUOT;
  }
  if (handle.foreign) return 0;
  const int error = host_.charge_bytes(tenant_, buffer.charged_bytes,
                                       buffer.kind == AIACCEL_BUFFER_PINNED, refused_by);
  if (error) aia_limit_uncharge(&tenant_->buffers, 1);
  return error;
}

void Context::let_go(const Handle& handle) {
  if (handle.foreign) aia_limit_uncharge(&tenant_->lines, 1);
  host_.put_buffer(*handle.buffer);
}

int Context::alloc(aiaccel_alloc& arg) {
  arg.refused_by = AIACCEL_REFUSED_NOT;
  if (int error = aia_check_alloc(&arg)) return error;
  if (arg.placement == AIACCEL_PLACE_NEAR && !host_.find_engine(arg.engine)) return -ENOENT;
  const Buffer buffer{AIACCEL_BUFFER_ALLOCATED, 0,       arg.length,
                      whole_pages(arg.length),  tenant_, client_.uid};
  if (int error = add_buffer(buffer, &arg.id, &arg.refused_by)) return error;
  arg.mmap_offset = buffers_.at(arg.id).mmap_offset;
  return 0;
}

int Context::pin(aiaccel_pin& arg) {
  arg.refused_by = AIACCEL_REFUSED_NOT;
  if (int error = aia_check_pin(&arg)) return error;
  const uint64_t start = arg.addr & ~(page_size() - 1);
  const uint64_t bytes = whole_pages(arg.addr - start + arg.length);
  const Buffer buffer{AIACCEL_BUFFER_PINNED, arg.flags, arg.length, bytes, tenant_, client_.uid};
  return add_buffer(buffer, &arg.id, &arg.refused_by);
}

int Context::buffer_info(aiaccel_buffer_info& arg) {
  if (int error = aia_check_buffer_info(&arg)) return error;
  const auto found = buffers_.find(arg.id);
  if (found == buffers_.end()) return -ENOENT;
  const Handle& handle = found->second;
  const Buffer& buffer = *handle.buffer;
  const aiaccel_buffer_info asked = arg;
  arg = {};  // what is not known here is 0
  arg.size = asked.size;
  arg.id = asked.id;
  arg.node_bytes = asked.node_bytes;
  arg.kind = buffer.kind;
  arg.flags = buffer.flags;
  arg.length = buffer.length;
  arg.charged_bytes = buffer.charged_bytes;
  arg.mmap_offset = handle.mmap_offset;
  arg.numa_node = -1;
  arg.tenant = buffer.tenant->id;
  arg.uid =
      buffer.kind == AIACCEL_BUFFER_PINNED ? static_cast<uint32_t>(buffer.uid) : AIACCEL_UID_NONE;
  if (handle.foreign) arg.state |= AIACCEL_BUFFER_FOREIGN;
  if (buffer.revoked) arg.state |= AIACCEL_BUFFER_REVOKED;
  arg.handles = buffer.handles;
  return 0;
}

int Context::quota(aiaccel_quota& arg) {
  arg.refused_by = AIACCEL_REFUSED_NOT;
  if (int error = aia_check_quota(&arg)) return error;
  if (arg.placement == AIACCEL_PLACE_NEAR && !host_.find_engine(arg.engine)) return -ENOENT;
  const uint64_t bytes = whole_pages(arg.length);
  arg.tenant_bytes = AIACCEL_UNLIMITED;
  bool no_buffers = false;
  for (const Tenant* tenant = tenant_; tenant->parent; tenant = tenant->parent) {
    arg.tenant_bytes = std::min(arg.tenant_bytes, aia_limit_left(&tenant->bytes));
    no_buffers |= aia_limit_left(&tenant->buffers) == 0;
  }
  arg.module_bytes = aia_limit_left(&host_.root.bytes);
  arg.rlimit_bytes = arg.memory_bytes = arg.memcg_bytes = AIACCEL_UNLIMITED;
  if (buffers_.size() >= kMaxBuffers)
    arg.refused_by = AIACCEL_REFUSED_CONTEXT;
  else if (no_buffers || arg.tenant_bytes < bytes)
    arg.refused_by = AIACCEL_REFUSED_TENANT;
  else if (arg.module_bytes < bytes)
    arg.refused_by = AIACCEL_REFUSED_MODULE;
  return 0;
}

int Context::export_buffer(Call& call) {
  const aiaccel_export& arg = call.arg.export_;
  if (int error = aia_check_export(&arg)) return error;
  const auto found = buffers_.find(arg.id);
  if (found == buffers_.end()) return -ENOENT;
  Buffer& buffer = *found->second.buffer;
  if (buffer.revoked) return -ENODEV;
  if (buffer.kind != AIACCEL_BUFFER_ALLOCATED) return -EOPNOTSUPP;
  if (buffer.mark != kNoMark) return buffer.mark == call.mark ? 0 : -EINVAL;
  // None, or another buffer's: no client of ours says so.
  if (call.mark == kNoMark) return -EINVAL;
  if (!host_.exported.try_emplace(call.mark, found->second.buffer).second) return -EINVAL;
  buffer.mark = call.mark;
  return 0;
}

int Context::import_buffer(Call& call) {
  aiaccel_import& arg = call.arg.import;
  arg.refused_by = AIACCEL_REFUSED_NOT;
  if (int error = aia_check_import(&arg)) return error;
  const auto found = host_.exported.find(call.mark);
  if (found == host_.exported.end()) return -EINVAL;
  const std::shared_ptr<Buffer>& buffer = found->second;
  if (buffer->revoked) return -ENODEV;
  uint64_t offset = 0;
  if (int error = next_offset(whole_pages(buffer->length), &offset, &arg.refused_by)) return error;
  if (int error = add_handle({buffer, true, offset}, &arg.id, &arg.refused_by)) return error;
  arg.length = buffer->length;
  return 0;
}

// The memory of an allocated one goes at once, so nobody pays for it any more.
int Context::revoke_buffer(aiaccel_buffer_revoke& arg) {
  if (int error = aia_check_buffer_revoke(&arg)) return error;
  const auto found = buffers_.find(arg.id);
  if (found == buffers_.end()) return -ENOENT;
  if (found->second.foreign) return -EPERM;
  Buffer& buffer = *found->second.buffer;
  arg.importers = 0;
  buffer.revoked = true;
  if (buffer.kind != AIACCEL_BUFFER_ALLOCATED) return 0;
  host_.uncharge_bytes(buffer.tenant, std::exchange(buffer.charged_bytes, 0), false);
  return 0;
}

}  // namespace aiaccel::host
