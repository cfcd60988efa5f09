// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Arguments looked at by themselves; see check.h. Every function goes down the ladder of
 * the UAPI header: first what is not carried out (EOPNOTSUPP), then reserved fields and
 * ranges (EINVAL), then sums that wrap (EOVERFLOW).
 *
 * Reads its argument only, which is a copy that no user can change.
 */
#include "check.h"
#include "rule.h"
#include "turns.h"

/*
 * No page that Linux has is larger. The core does not know the host's page size; so
 * near the end of the address space a range counts as wrapping although whole pages might
 * just fit.
 */
#define LARGEST_PAGE (1ULL << 20)

/* Would the end of the range, rounded up to whole pages, wrap? */
static bool wraps(__u64 addr, __u64 length)
{
	return addr + length < addr || addr + length > 0 - LARGEST_PAGE;
}

int aia_check_engine_list(const struct aiaccel_engine_list *arg)
{
	(void)arg; /* every count and every id is as good as the others */
	return 0;
}

int aia_check_engine_info(const struct aiaccel_engine_info *arg)
{
	return arg->__reserved ? -EINVAL : 0;
}

int aia_check_stats(const struct aiaccel_stats *arg)
{
	if (arg->kind < AIACCEL_STATS_ENGINES || arg->kind > AIACCEL_STATS_SNAPSHOT)
		return -EOPNOTSUPP;
	if (arg->record_size < 8 || arg->record_size > 4096 || arg->record_size % 8)
		return -EINVAL;
	if (arg->kind == AIACCEL_STATS_SNAPSHOT && arg->record_size != 8)
		return -EINVAL;
	return 0;
}

int aia_check_control(const struct aiaccel_control *arg)
{
	bool known_state = arg->state == AIACCEL_ENGINE_ACTIVE ||
			   arg->state == AIACCEL_ENGINE_DRAINING ||
			   arg->state == AIACCEL_ENGINE_LEAVING;

	if (arg->flags || arg->order > AIACCEL_ORDER_FIFO ||
	    (arg->state ? !known_state : !arg->order))
		return -EOPNOTSUPP;
	return arg->__reserved || (arg->state == AIACCEL_ENGINE_LEAVING && arg->engine) ? -EINVAL :
											   0;
}

int aia_check_revoke(const struct aiaccel_revoke *arg)
{
	if (arg->flags & ~AIACCEL_REVOKE_WAITING)
		return -EOPNOTSUPP;
	return !arg->context == !arg->tenant ? -EINVAL : 0;
}

int aia_check_destroy(const struct aiaccel_destroy *arg)
{
	(void)arg;
	return 0;
}

/* The part that ALLOC and QUOTA share. */
static int check_placement(__u32 placement, __s32 node, __u32 engine)
{
	bool names_node = placement == AIACCEL_PLACE_PREFER || placement == AIACCEL_PLACE_STRICT;

	if (names_node ? node < 0 : node != 0)
		return -EINVAL;
	return engine && placement != AIACCEL_PLACE_NEAR ? -EINVAL : 0;
}

int aia_check_alloc(const struct aiaccel_alloc *arg)
{
	if (arg->flags || arg->placement > AIACCEL_PLACE_NEAR)
		return -EOPNOTSUPP;
	if (arg->__reserved || !arg->length ||
	    check_placement(arg->placement, arg->node, arg->engine))
		return -EINVAL;
	return wraps(0, arg->length) ? -EOVERFLOW : 0;
}

int aia_check_quota(const struct aiaccel_quota *arg)
{
	bool pinned = arg->kind == AIACCEL_BUFFER_PINNED;

	if ((!pinned && arg->kind != AIACCEL_BUFFER_ALLOCATED) ||
	    arg->placement > AIACCEL_PLACE_NEAR)
		return -EOPNOTSUPP;
	if ((pinned && arg->placement) ||
	    check_placement(arg->placement, arg->node, arg->engine))
		return -EINVAL;
	return wraps(0, arg->length) ? -EOVERFLOW : 0;
}

int aia_check_pin(const struct aiaccel_pin *arg)
{
	if (arg->flags & ~(AIACCEL_PIN_WRITE | AIACCEL_PIN_CACHED))
		return -EOPNOTSUPP;
	if (!arg->length)
		return -EINVAL;
	return wraps(arg->addr, arg->length) ? -EOVERFLOW : 0;
}

int aia_check_buffer_info(const struct aiaccel_buffer_info *arg)
{
	return arg->__reserved ? -EINVAL : 0;
}

int aia_check_export(const struct aiaccel_export *arg)
{
	return arg->flags ? -EOPNOTSUPP : 0;
}

int aia_check_buffer_revoke(const struct aiaccel_buffer_revoke *arg)
{
	return arg->__reserved ? -EINVAL : 0;
}

int aia_check_import(const struct aiaccel_import *arg)
{
	if (arg->flags)
		return -EOPNOTSUPP;
	return arg->__reserved ? -EINVAL : 0;
}

int aia_check_reserve(const struct aiaccel_reserve *arg)
{
	if (arg->flags)
		return -EOPNOTSUPP;
	return arg->__reserved || (arg->engine && arg->id) ? -EINVAL : 0;
}

/* Characters from @lowest to the last that is printed, a NUL, and zeros to the end. */
static bool is_text(const char *text, size_t size, char lowest)
{
	size_t i = 0;

	while (i < size && text[i] >= lowest && text[i] <= '~')
		i++;
	if (i == size)
		return false;
	while (i < size && !text[i])
		i++;
	return i == size;
}

bool aia_check_label(const char label[AIACCEL_LABEL_LEN])
{
	return is_text(label, AIACCEL_LABEL_LEN, ' ');
}

/* . and .. are no names of directories. */
static bool is_name(const char name[AIACCEL_NAME_LEN])
{
	if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
		return false;
	return name[0] && is_text(name, AIACCEL_NAME_LEN, '!');
}

int aia_check_engine_register(const struct aiaccel_engine_register *arg)
{
	if (arg->flags & ~AIACCEL_REGISTER_BOUND || arg->kind <= AIACCEL_ENGINE_CPU ||
	    arg->kind > AIACCEL_ENGINE_OTHER ||
	    arg->enforcement < AIACCEL_ADVISORY || arg->enforcement > AIACCEL_GATED)
		return -EOPNOTSUPP;
	if (arg->__reserved || !arg->slots || arg->slots > AIA_MAX_SLOTS || arg->numa_node < -1 ||
	    !is_name(arg->name) || !is_name(arg->provider) ||
	    !is_text(arg->alias, AIACCEL_NAME_LEN, '!'))
		return -EINVAL;
	return 0;
}

int aia_check_engine_unregister(const struct aiaccel_engine_unregister *arg)
{
	(void)arg;
	return 0;
}

/* Of REALTIME all that a promise needs, of others nothing. */
static bool good_promise(const struct aiaccel_queue_create *arg)
{
	if (arg->class_ != AIACCEL_CLASS_REALTIME)
		return !arg->period_ns && !arg->width;
	return !arg->any_of && arg->budget_ns && arg->width && arg->period_ns >= arg->budget_ns &&
	       arg->period_ns <= AIACCEL_PERIOD_MAX_NS;
}

int aia_check_queue_create(const struct aiaccel_queue_create *arg)
{
	if (arg->flags & ~AIACCEL_QUEUE_FILL || arg->class_ > AIACCEL_CLASS_REALTIME)
		return -EOPNOTSUPP;
	if (!good_promise(arg))
		return -EINVAL;
	if (arg->flags & AIACCEL_QUEUE_FILL && arg->class_ > AIACCEL_CLASS_LOW)
		return -EINVAL;
	if (arg->budget_ns &&
	    (arg->budget_ns < AIACCEL_BUDGET_MIN_NS || arg->budget_ns > AIACCEL_BUDGET_MAX_NS))
		return -EINVAL;
	if (arg->__reserved || arg->weight > AIACCEL_WEIGHT_MAX || !aia_check_label(arg->label))
		return -EINVAL;
	return 0;
}

int aia_check_enter(const struct aiaccel_enter *arg)
{
	if (arg->flags)
		return -EOPNOTSUPP;
	if (arg->nr_completions > AIACCEL_ENTER_MAX || arg->nr_jobs > AIACCEL_ENTER_MAX ||
	    arg->min_events > AIA_TURNS_MAX)
		return -EINVAL;
	return 0;
}

int aia_check_job(const struct aiaccel_job *arg)
{
	bool any = arg->flags & AIACCEL_JOB_ANY;

	if (arg->flags & ~(AIACCEL_JOB_AFTER | AIACCEL_JOB_ANY))
		return -EOPNOTSUPP;
	if (any ? arg->group : arg->buffer)
		return -EINVAL;
	if (!arg->width || arg->__reserved || (arg->after && !(arg->flags & AIACCEL_JOB_AFTER)))
		return -EINVAL;
	if (!arg->group != !arg->group_size || arg->group_size > AIACCEL_GROUP_MAX)
		return -EINVAL;
	return 0;
}

int aia_check_completion(const struct aiaccel_completion *arg)
{
	const __u32 either = AIACCEL_COMPLETE_CANCEL | AIACCEL_COMPLETE_RENEW;

	if (arg->flags & ~either)
		return -EOPNOTSUPP;
	return arg->flags == either ? -EINVAL : 0;
}

int aia_check_policy(const struct aiaccel_policy *arg)
{
	bool replace = arg->flags & AIACCEL_POLICY_REPLACE;

	if (arg->flags & ~AIACCEL_POLICY_REPLACE ||
	    arg->rule_size != sizeof(struct aiaccel_policy_rule))
		return -EOPNOTSUPP;
	return replace && arg->count > AIACCEL_POLICY_MAX ? -EINVAL : 0;
}

/* Not empty, printable ASCII, a NUL, and zeros to the end; for USER zeros alone. */
static bool good_pattern(const struct aiaccel_policy_rule *arg)
{
	size_t length = 0, i;

	while (length < AIACCEL_PATTERN_LEN && arg->pattern[length] >= ' ' &&
	       arg->pattern[length] <= '~')
		length++;
	for (i = length; i < AIACCEL_PATTERN_LEN; i++)
		if (arg->pattern[i])
			return false;
	if (arg->match == AIACCEL_MATCH_USER)
		return !length;
	return length && length < AIACCEL_PATTERN_LEN && aia_rule_is_pattern(arg->pattern);
}

/* A field that is not set is zero; one that is set lies in its range. */
static bool in_range(const struct aiaccel_policy_rule *arg, __u32 bit, __u64 value, __u64 min,
		     __u64 max)
{
	return arg->sets & bit ? value >= min && value <= max : !value;
}

int aia_check_policy_rule(const struct aiaccel_policy_rule *arg)
{
	__u32 known = AIACCEL_SETS_MAX_CLASS | AIACCEL_SETS_WEIGHT | AIACCEL_SETS_PINNED_BYTES |
		      AIACCEL_SETS_DEVICE_BYTES | AIACCEL_SETS_ENGINE_TIME | AIACCEL_SETS_GRANTS |
		      AIACCEL_SETS_ON_MISSING;

	if (arg->match < AIACCEL_MATCH_PATH || arg->match > AIACCEL_MATCH_USER ||
	    arg->sets & ~known || arg->on_missing > AIACCEL_ON_MISSING_CLOSED)
		return -EOPNOTSUPP;
	if (!in_range(arg, AIACCEL_SETS_MAX_CLASS, arg->max_class, 0, AIACCEL_CLASS_REALTIME) ||
	    !in_range(arg, AIACCEL_SETS_WEIGHT, arg->weight, AIACCEL_WEIGHT_MIN,
		      AIACCEL_WEIGHT_MAX) ||
	    !in_range(arg, AIACCEL_SETS_PINNED_BYTES, arg->pinned_bytes, 0, AIACCEL_UNLIMITED) ||
	    !in_range(arg, AIACCEL_SETS_DEVICE_BYTES, arg->device_bytes, 0, AIACCEL_UNLIMITED) ||
	    !in_range(arg, AIACCEL_SETS_ENGINE_TIME, arg->engine_time, 1,
		      AIACCEL_ENGINE_TIME_ALL) ||
	    !in_range(arg, AIACCEL_SETS_GRANTS, arg->grants, 1, ~0U) ||
	    !in_range(arg, AIACCEL_SETS_ON_MISSING, arg->on_missing, 0,
		      AIACCEL_ON_MISSING_CLOSED))
		return -EINVAL;
	if (arg->match != AIACCEL_MATCH_USER && arg->uid)
		return -EINVAL;
	return good_pattern(arg) ? 0 : -EINVAL;
}
