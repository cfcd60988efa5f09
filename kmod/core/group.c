// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Groups of jobs: their names, who belongs to them, and which goes before which; group.h has the
 * rules. sched.c says when one begins, turns.c puts its jobs in line and tells. The caller
 * serialises.
 */
#include "group.h"
#include "list.h"
#include "sched.h"

#define group_of(ptr) aia_container_of(ptr, struct aia_group, of_names)

/* ---- names ---- */

static bool name_before(const struct aia_group *a, const void *tenant, __u64 number)
{
	return a->tenant != tenant ? a->tenant < tenant : a->number < number;
}

static bool is_before(const struct aia_rb_node *a, const struct aia_rb_node *b)
{
	return name_before(group_of(a), group_of(b)->tenant, group_of(b)->number);
}

struct aia_group *aia_group_find(const struct aia_groups *groups, const void *tenant,
				 __u64 number)
{
	struct aia_rb_node *node = groups->by_name.top;

	while (node) {
		struct aia_group *group = group_of(node);

		if (group->tenant == tenant && group->number == number)
			return group;
		node = name_before(group, tenant, number) ? node->right : node->left;
	}
	return NULL;
}

/* ---- who belongs to it ---- */

static struct aia_sched_engine *engine_of(const struct aia_sched_job *job)
{
	return job->queue->seat->engine;
}

int aia_group_takes(const struct aia_group *group, const struct aia_sched_queue *queue,
		    __u32 width, __u32 size)
{
	const struct aia_sched_engine *engine = queue->seat->engine;
	const struct aia_link *link;
	__u32 sum = width;
	bool met = false;

	if (group->size != size ||
	    aia_group_job(group->members.next)->queue->class_ != queue->class_)
		return -EINVAL;
	if (group->count == size)
		return -EBUSY;
	for (link = group->members.next; link != &group->members; link = link->next) {
		const struct aia_sched_job *job = aia_group_job(link);

		if (engine_of(job) == engine)
			sum += job->width;
		met |= job->queue->seat == queue->seat;
	}
	if (sum > engine->slots)
		return -EINVAL;
	return met ? -EDEADLK : 0;
}

/* The first of its jobs at the engine, or NULL. */
static struct aia_sched_job *member_at(const struct aia_group *group,
				       const struct aia_sched_engine *engine)
{
	const struct aia_link *link;

	for (link = group->members.next; link != &group->members; link = link->next)
		if (engine_of(aia_group_job(link)) == engine)
			return aia_group_job(link);
	return NULL;
}

__u32 aia_group_width(const struct aia_sched_job *job)
{
	const struct aia_link *link;
	__u32 width = 0;

	if (!job->group)
		return job->width;
	for (link = job->group->members.next; link != &job->group->members; link = link->next)
		if (engine_of(aia_group_job(link)) == engine_of(job))
			width += aia_group_job(link)->width;
	return width;
}

void aia_group_join(struct aia_groups *groups, struct aia_group *group, struct aia_sched_job *job,
		    const void *tenant, __u64 number, __u32 size)
{
	struct aia_sched_job *beside;

	if (!group) {
		group = &job->founded;
		*group = (struct aia_group){.tenant = tenant, .number = number, .size = size};
		aia_list_init(&group->members);
		aia_rb_insert(&groups->by_name, &group->of_names, is_before);
	}
	beside = member_at(group, engine_of(job));
	aia_list_add_last(beside ? &beside->of_group : &group->members, &job->of_group);
	job->group = group;
	group->count++;
}

bool aia_group_ready(struct aia_groups *groups, struct aia_group *group)
{
	if (++group->ready < group->size)
		return false;
	group->age = groups->completed++;
	return true;
}

/* To the memory of another of its jobs. */
static void move(struct aia_groups *groups, struct aia_group *from)
{
	struct aia_group *to = &aia_group_job(from->members.next)->founded;

	aia_rb_remove(&groups->by_name, &from->of_names);
	*to = *from;
	aia_list_init(&to->members);
	while (!aia_list_empty(&from->members)) {
		struct aia_sched_job *job = aia_group_job(from->members.next);

		aia_list_remove(&job->of_group);
		aia_list_add_last(&to->members, &job->of_group);
		job->group = to;
	}
	aia_rb_insert(&groups->by_name, &to->of_names, is_before);
}

void aia_group_leave(struct aia_groups *groups, struct aia_sched_job *job)
{
	struct aia_group *group = job->group;

	aia_list_remove(&job->of_group);
	job->group = NULL;
	if (!--group->count)
		aia_rb_remove(&groups->by_name, &group->of_names);
	else if (group == &job->founded)
		move(groups, group);
}

void aia_group_dissolve(struct aia_groups *groups, struct aia_group *group)
{
	aia_rb_remove(&groups->by_name, &group->of_names);
	while (!aia_list_empty(&group->members)) {
		struct aia_sched_job *job = aia_group_job(group->members.next);

		aia_list_remove(&job->of_group);
		job->group = NULL;
	}
}

/* ---- which goes before which ---- */

static bool is_older(const struct aia_sched_job *job, const struct aia_sched_job *than)
{
	return job && job->group && job->group != than->group &&
	       job->queue->class_ == than->queue->class_ && job->group->age < than->group->age;
}

/*
 * Keeps slots for the job. False when nothing changes by it. For whom they are held at an engine is
 * older each time, so this comes to an end.
 */
static bool hold(struct aia_sched_job *job)
{
	const struct aia_sched_engine *engine = engine_of(job);
	const struct aia_sched_job *held = aia_wide_held(engine, job->queue->class_);

	return held != job && !is_older(held, job) && aia_share_is_in_line(&job->queue->share) &&
	       !aia_share_is_ahead(&job->queue->share, engine->slots * AIA_GROUP_AHEAD_NS) &&
	       aia_wide_hold(job);
}

struct aia_sched_engine *aia_group_claim(struct aia_sched_job *wanting,
					 struct aia_sched_job *member)
{
	struct aia_sched_engine *here = engine_of(wanting), *there = engine_of(member);
	struct aia_sched_job *other = there->wanting;

	if (other && other->group == wanting->group)
		return NULL;
	if (is_older(other, member)) {
		struct aia_sched_job *older = member_at(other->group, here);

		return older && hold(older) ? here : NULL;
	}
	if (hold(member))
		return there;
	if (other && other->group)
		return NULL;
	return there->wide[member->queue->class_].paused ? there : NULL;
}
