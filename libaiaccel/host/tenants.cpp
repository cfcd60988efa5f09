// SPDX-License-Identifier: MIT
//
// Tenants of the arbiter in user space: who pays, what the rules give them, what memory they have.
// See host.h for the locking rule.
#include <algorithm>
#include <cerrno>

#include "host/context.h"
#include "host/host.h"

namespace aiaccel::host {

bool Tenant::is_below(const Tenant* top) const {
  const Tenant* tenant = this;
  while (tenant && tenant != top) tenant = tenant->parent;
  return tenant;
}

uint32_t Tenant::highest_class() const {
  return aia_settings_class(&settings, AIACCEL_CLASS_HIGH);
}

void Host::init_tenant(Tenant* tenant, Tenant* parent) {
  tenant->id = ++last_tenant_;
  tenant->parent = parent;
  tenant->settings = aia_settings_none;
  tenant->nodes.resize(engines.size());
  tenant->device_bytes.resize(engines.size());
  for (size_t i = 0; i < engines.size(); ++i) {
    aia_sched_node_init(&tenant->nodes[i], &engines[i]->sched, parent ? &parent->nodes[i] : nullptr,
                        AIACCEL_WEIGHT_DEFAULT);
    aia_limit_init(&tenant->device_bytes[i], parent ? &parent->device_bytes[i] : nullptr,
                   parent ? AIACCEL_UNLIMITED : engines[i]->info.device_bytes);
  }
}

void Host::apply_rules(Tenant* tenant, uint64_t now_ns) {
  aia_settings& settings = tenant->settings;
  settings = aia_settings_none;
  for (const aiaccel_policy_rule& rule : rules_)
    aia_rule_apply(&rule, nullptr, static_cast<uint32_t>(tenant->uid), &settings);
  aia_settings_below(&settings, &tenant->parent->settings);
  tenant->bytes.max =
      settings.pinned_bytes == AIACCEL_UNLIMITED ? ceilings.tenant_bytes : settings.pinned_bytes;
  for (aia_limit& limit : tenant->device_bytes) limit.max = settings.device_bytes;
  for (aia_sched_node& node : tenant->nodes) {
    aia_sched_node_set_weight(&node, settings.weight);
    aia_sched_node_set_caps(&node, settings.engine_time, settings.grants, now_ns);
  }
}

void Host::set_rules(std::vector<aiaccel_policy_rule> rules, uint64_t now_ns) {
  rules_ = std::move(rules);
  for (auto& [uid, tenant] : tenants) apply_rules(tenant.get(), now_ns);
  for (Context* context : contexts) {
    context->host_.mutex.is_held();  // it is the same
    context->follow_policy();
  }
  prune_tenants(now_ns);
  aia_news news{};
  for (const auto& engine : engines) aia_turns_stir(&engine->sched, &news);
  act(news, now_ns);
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
    apply_rules(tenant.get(), monotonic_ns());
    found = tenants.emplace(uid, std::move(tenant)).first;
  }
  Tenant* tenant = found->second.get();
  if (aia_limit_charge(&tenant->contexts, 1)) return -EDQUOT;
  *result = tenant;
  return 0;
}

void Host::put_tenant(Tenant* tenant) {
  aia_limit_uncharge(&tenant->contexts, 1);
  if (!tenant->contexts.used) prune_tenants(monotonic_ns());
}

void Host::prune_tenants(uint64_t now_ns) {
  std::erase_if(tenants, [=](const auto& entry) {
    Tenant& tenant = *entry.second;
    const auto owes = [=](aia_sched_node& node) { return aia_sched_node_owes(&node, now_ns); };
    if (tenant.contexts.used || tenant.buffers.used ||
        std::any_of(tenant.nodes.begin(), tenant.nodes.end(), owes))
      return false;
    for (aia_sched_node& node : tenant.nodes) aia_sched_node_fini(&node);
    return true;
  });
}

const Tenant* Host::find_tenant(uint64_t id) const {
  if (root.id == id) return &root;
  const auto found = std::find_if(tenants.begin(), tenants.end(),
                                  [=](const auto& entry) { return entry.second->id == id; });
  return found == tenants.end() ? nullptr : found->second.get();
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

void Host::put_buffer(Buffer& buffer) {
  if (--buffer.handles) return;
  Tenant* tenant = buffer.tenant;
  uncharge_bytes(tenant, buffer.charged_bytes, buffer.kind == AIACCEL_BUFFER_PINNED);
  aia_limit_uncharge(&tenant->buffers, 1);
  if (buffer.mark != kNoMark) exported.erase(buffer.mark);
  if (!tenant->contexts.used) prune_tenants(monotonic_ns());
}

}  // namespace aiaccel::host
