// SPDX-License-Identifier: MIT
//
// See json.hpp.
#include "aiaccel-top/json.hpp"

#include "common/names.hpp"
#include "observe/show.hpp"

namespace tools {
namespace {

const char* scope_name(Scope scope) {
  switch (scope) {
    case Scope::all:
      return "all";
    case Scope::tenant:
      return "tenant";
    case Scope::process:
      return "process";
    case Scope::none:
      return "none";
  }
  return "?";
}

// A ceiling that there is not is null, and so is one that an older arbiter does not tell.
Json limit_json(std::uint64_t bytes) {
  return bytes == AIACCEL_UNLIMITED ? Json() : Json(bytes);
}

// As many counts as there are up to the last that is not 0.
Json histogram_json(const aiaccel_histogram& histogram) {
  int length = AIACCEL_HISTOGRAM_LEN;
  while (length && !histogram.count[length - 1]) length--;
  Json counts = Json::array();
  for (int i = 0; i < length; i++) counts.push_back(histogram.count[i]);
  return counts;
}

Json engine_json(const EngineReport& engine) {
  const aiaccel_engine_info& info = engine.info;
  const aiaccel_stats_engine& stats = engine.stats;
  return {{"id", info.id},
          {"alias", engine.alias},
          {"name", info.name},
          {"kind", engine_kind_name(info.kind)},
          {"numa_node", info.numa_node < 0 ? Json() : Json(info.numa_node)},
          {"state", state_name(stats.state)},
          {"slots", stats.slots},
          {"slots_used", stats.slots_used},
          {"jobs_waiting", stats.jobs_waiting},
          {"queues", stats.queues},
          {"granted", stats.granted},
          {"busy_ns", stats.busy_ns},
          {"device_bytes", stats.device_bytes},
          {"reserved_bytes", stats.reserved_bytes},
          {"order", order_name(info.order)},
          {"contended", info.contended},
          {"wait_histogram", histogram_json(stats.wait)},
          {"run_histogram", histogram_json(stats.run)},
          {"busy_fraction", or_null(engine.busy_fraction)},
          {"granted_per_s", or_null(engine.granted_per_s)}};
}

Json tenant_json(const TenantReport& tenant) {
  const aiaccel_stats_tenant& stats = tenant.stats;
  const bool told = stats.engine_time != 0;
  return {{"id", stats.tenant},
          {"parent", stats.parent},
          {"kind", tenant_kind_name(stats.kind)},
          {"source_id", stats.source_id},
          {"name", stats.name},
          {"weight", stats.weight},
          {"contexts", stats.contexts},
          {"queues", stats.queues},
          {"allocated_bytes", stats.allocated_bytes},
          {"pinned_bytes", stats.pinned_bytes},
          {"reserved_bytes", stats.reserved_bytes},
          {"max_bytes", told ? limit_json(stats.max_bytes) : Json()},
          {"max_device_bytes", told ? limit_json(stats.max_device_bytes) : Json()},
          {"max_class", told ? Json(class_name(stats.max_class)) : Json()},
          {"engine_time",
           told && stats.engine_time < AIACCEL_ENGINE_TIME_ALL ? Json(stats.engine_time) : Json()},
          {"grants", stats.grants ? Json(stats.grants) : Json()},
          {"granted", stats.granted},
          {"busy_ns", stats.busy_ns},
          {"wait_histogram", histogram_json(stats.wait)},
          {"run_histogram", histogram_json(stats.run)},
          {"granted_per_s", or_null(tenant.granted_per_s)},
          {"slots_mean", or_null(tenant.slots_mean)},
          {"wait_p50_ns", or_null(tenant.wait.p50_ns)},
          {"wait_p99_ns", or_null(tenant.wait.p99_ns)},
          {"run_p50_ns", or_null(tenant.run.p50_ns)},
          {"run_p99_ns", or_null(tenant.run.p99_ns)}};
}

Json queue_json(const QueueReport& queue) {
  const aiaccel_stats_queue& stats = queue.stats;
  return {{"context", stats.context},
          {"id", stats.id},
          {"tenant", stats.tenant},
          {"tenant_name", queue.tenant},
          {"engine", stats.engine},
          {"engine_alias", queue.engine},
          {"label", stats.label},
          {"class", class_name(stats.class_)},
          {"weight", stats.weight},
          {"waiting", stats.waiting},
          {"slots_held", stats.slots_held},
          {"pid", stats.pid > 0 ? Json(stats.pid) : Json()},
          {"command", stats.comm},
          {"submitted", stats.submitted},
          {"granted", stats.granted},
          {"completed", stats.completed},
          {"wait_ns", stats.wait_ns},
          {"run_ns", stats.run_ns},
          {"max_wait_ns", stats.max_wait_ns},
          {"wait_histogram", histogram_json(stats.wait)},
          {"run_histogram", histogram_json(stats.run)},
          {"granted_per_s", or_null(queue.granted_per_s)},
          {"wait_mean_ns", or_null(queue.wait_mean_ns)},
          {"run_mean_ns", or_null(queue.run_mean_ns)},
          {"wait_p50_ns", or_null(queue.wait.p50_ns)},
          {"wait_p99_ns", or_null(queue.wait.p99_ns)},
          {"run_p50_ns", or_null(queue.run.p50_ns)},
          {"run_p99_ns", or_null(queue.run.p99_ns)}};
}

}  // namespace

Json to_json(const Report& report) {
  const Sample& now = report.now;
  const bool none = now.scope == Scope::none;
  Json engines = Json::array();
  for (const EngineReport& engine : report.engines) engines.push_back(engine_json(engine));
  Json tenants = Json::array();
  for (const TenantReport& tenant : report.tenants) tenants.push_back(tenant_json(tenant));
  Json queues = Json::array();
  for (const QueueReport& queue : report.queues) queues.push_back(queue_json(queue));
  return {{"time_ns", now.time_ns},
          {"interval_ns", or_null(report.interval_ns)},
          {"transport", none ? Json() : Json(now.transport)},
          {"scope", scope_name(now.scope)},
          {"own_tenant", none ? Json() : Json(now.query.tenant)},
          {"memory",
           {{"own_tenant_bytes", none ? Json() : Json(now.query.pinned_bytes)},
            {"own_tenant_ceiling_bytes", none ? Json() : limit_json(now.query.max_pinned_bytes)},
            {"host_total_bytes", or_null(now.host_total_bytes)},
            {"host_available_bytes", or_null(now.host_available_bytes)}}},
          {"engines", std::move(engines)},
          {"tenants", std::move(tenants)},
          {"queues", std::move(queues)},
          {"observed", observe::to_json(now.observed)}};
}

}  // namespace tools
