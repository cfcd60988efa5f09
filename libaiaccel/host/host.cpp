// SPDX-License-Identifier: MIT
//
// Engines, tenants and ceilings of the arbiter in user space; see host.h for the locking rule.
#include "host/host.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <new>

#include "host/context.h"

namespace aiaccel::host {

uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

namespace {

// Of each engine: less where there are many, since STATS tells of all in one answer.
uint32_t history_records(size_t engines) {
  uint32_t records = AIA_HISTORY_RECORDS;
  while (records > 256 && records * engines > 8 * AIA_HISTORY_RECORDS) records /= 2;
  return records;
}

}  // namespace

Host::Host(const std::vector<aiaccel_engine_info>& infos, const Ceilings& limits, uint64_t caps)
    : capabilities(caps), ceilings(limits) {
  for (const aiaccel_engine_info& info : infos) {
    auto engine = std::make_unique<Engine>();
    aia_sched_engine_init(&engine->sched, info.slots);
    engine->sched.gives_way = info.kind == AIACCEL_ENGINE_CPU;
    engine->info = info;
    // Untouched until it is used.
    engine->records.reset(static_cast<aia_history_record*>(
        std::calloc(history_records(infos.size()), sizeof(aia_history_record))));
    if (!engine->records) throw std::bad_alloc();
    aia_history_init(&engine->history, engine->records.get(), history_records(infos.size()));
    engine->sched.history = &engine->history;
    engines.push_back(std::move(engine));
  }
  root.name = "/";
  aia_limit_init(&root.bytes, nullptr, ceilings.host_bytes);
  aia_limit_init(&root.jobs, nullptr, AIA_LIMIT_NONE);
  aia_limit_init(&root.contexts, nullptr, AIA_LIMIT_NONE);
  aia_limit_init(&root.lines, nullptr, AIA_LIMIT_NONE);
  aia_limit_init(&root.buffers, nullptr, AIA_LIMIT_NONE);
  init_tenant(&root, nullptr);
}

Host::~Host() = default;

void Host::init_tenant(Tenant* tenant, Tenant* parent) {
  tenant->id = ++last_tenant_;
  tenant->parent = parent;
  tenant->nodes.resize(engines.size());
  tenant->device_bytes.resize(engines.size());
  for (size_t i = 0; i < engines.size(); ++i) {
    aia_sched_node_init(&tenant->nodes[i], &engines[i]->sched, parent ? &parent->nodes[i] : nullptr,
                        AIACCEL_WEIGHT_DEFAULT);
    aia_limit_init(&tenant->device_bytes[i], parent ? &parent->device_bytes[i] : nullptr,
                   parent ? tenant->max_device_bytes : engines[i]->info.device_bytes);
  }
}

int Host::get_tenant(uint64_t uid, Tenant** result) {
  auto found = tenants.find(uid);
  if (found == tenants.end()) {
    auto tenant = std::make_unique<Tenant>();
    tenant->kind = AIACCEL_TENANT_USER;
    tenant->uid = uid;
    tenant->name = "uid:" + std::to_string(uid);
    aia_limit_init(&tenant->bytes, &root.bytes, ceilings.tenant_bytes);
    aia_limit_init(&tenant->jobs, &root.jobs, ceilings.tenant_jobs);
    aia_limit_init(&tenant->contexts, &root.contexts, ceilings.tenant_contexts);
    aia_limit_init(&tenant->lines, &root.lines, ceilings.tenant_lines);
    aia_limit_init(&tenant->buffers, &root.buffers, ceilings.tenant_buffers);
    init_tenant(tenant.get(), &root);
    found = tenants.emplace(uid, std::move(tenant)).first;
  }
  Tenant* tenant = found->second.get();
  if (aia_limit_charge(&tenant->contexts, 1)) return -EDQUOT;
  *result = tenant;
  return 0;
}

void Host::put_tenant(Tenant* tenant) {
  aia_limit_uncharge(&tenant->contexts, 1);
  if (tenant->contexts.used) return;
  for (aia_sched_node& node : tenant->nodes) aia_sched_node_fini(&node);
  tenants.erase(tenant->uid);
}

Engine* Host::find_engine(uint32_t id) const {
  const auto found = std::find_if(engines.begin(), engines.end(),
                                  [=](const auto& engine) { return engine->info.id == id; });
  return found == engines.end() ? nullptr : found->get();
}

const Tenant* Host::find_tenant(uint64_t id) const {
  if (root.id == id) return &root;
  const auto found = std::find_if(tenants.begin(), tenants.end(),
                                  [=](const auto& entry) { return entry.second->id == id; });
  return found == tenants.end() ? nullptr : found->second.get();
}

size_t Host::place(const Engine& engine) const {
  const auto found = std::find_if(engines.begin(), engines.end(),
                                  [&](const auto& other) { return other.get() == &engine; });
  return static_cast<size_t>(found - engines.begin());
}

const aia_limit& Host::device_bytes(const Engine& engine) const {
  return root.device_bytes[place(engine)];
}

int Host::charge_bytes(Tenant* tenant, uint64_t bytes, bool pinned, uint32_t* refused_by) {
  if (const aia_limit* refused = aia_limit_charge(&tenant->bytes, bytes)) {
    *refused_by = refused == &root.bytes ? AIACCEL_REFUSED_MODULE : AIACCEL_REFUSED_TENANT;
    return -EDQUOT;
  }
  for (; tenant; tenant = tenant->parent)
    (pinned ? tenant->pinned_bytes : tenant->allocated_bytes) += bytes;
  return 0;
}

void Host::uncharge_bytes(Tenant* tenant, uint64_t bytes, bool pinned) {
  aia_limit_uncharge(&tenant->bytes, bytes);
  for (; tenant; tenant = tenant->parent)
    (pinned ? tenant->pinned_bytes : tenant->allocated_bytes) -= bytes;
}

void Host::free_turns(aia_turn* chain) {
  while (chain) {
    aia_turn* turn = chain;
    chain = turn->next_freed;
    aia_limit_uncharge(&static_cast<Tenant*>(turn->owner)->jobs, 1);
    delete turn;
  }
}

void Host::wake(aia_turns* chain) {
  while (chain) {
    aia_turns* turns = chain;
    chain = turns->next_woken;
    turns->woken = false;
    Context::of(turns).on_events_();
  }
}

void Host::dispatch(Engine& engine, uint64_t now_ns) {
  aia_turns* woken = nullptr;
  aia_turn* freed = nullptr;
  aia_turns_dispatch(&engine.sched, now_ns, &woken, &freed);
  wake(woken);
  free_turns(freed);
}

}  // namespace aiaccel::host
