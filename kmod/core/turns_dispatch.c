// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Engines to look at, and what happens at one that is: who begins, who is asked to yield, whose
 * time is over; see turns.h. The caller serialises: turns of several contexts meet at an engine,
 * and dispatch reaches them all.
 */
#include "turns.h"
#include "choice.h"
#include "turn.h"

void aia_turns_stir(struct aia_sched_engine *engine, struct aia_news *news)
{
	if (engine->stirred)
		return;
	engine->stirred = true;
	engine->next_stirred = news->stirred;
	news->stirred = engine;
}

struct aia_sched_engine *aia_turns_next_stirred(struct aia_news *news)
{
	struct aia_sched_engine *engine = news->stirred;

	if (engine) {
		news->stirred = engine->next_stirred;
		engine->stirred = false;
	} else {
		news->steps = 0;
	}
	return engine;
}

static bool has_steps(const struct aia_news *news)
{
	return news->steps < AIA_TURNS_STEPS;
}

static void tell_granted(struct aia_turn *turn, __u64 now_ns, struct aia_news *news)
{
	if (!++turn->turns->generation)
		turn->turns->generation = 1;
	news->steps++;
	turn->note.generation = turn->turns->generation;
	turn->note.queue = turn->job.queue->who ? turn->job.queue->who->queue : 0;
	aia_turn_witness(turn, AIACCEL_TURN_RUNNING, now_ns);
	aia_turn_tell(turn, AIACCEL_EVENT_GRANTED, now_ns, news);
}

/* All of its group have begun. */
static void tell_group(struct aia_turn *turn, __u64 now_ns, struct aia_news *news)
{
	struct aia_group *group = turn->job.group;
	struct aia_link *link;

	for (link = group->members.next; link != &group->members; link = link->next) {
		struct aia_sched_job *job = aia_group_job(link);

		aia_turns_stir(job->queue->seat->engine, news);
		tell_granted(turn_of_job(job), now_ns, news);
	}
	aia_group_dissolve(turn->turns->groups, group);
}

/* An engine waits for the others of a group. */
static void claim(struct aia_sched_job *wanting, struct aia_news *news)
{
	struct aia_link *members = &wanting->group->members;
	struct aia_link *link;

	for (link = members->next; link != members; link = link->next) {
		struct aia_sched_engine *engine = aia_group_claim(wanting, aia_group_job(link));

		if (engine)
			aia_turns_stir(engine, news);
	}
}

static void ask(struct aia_turn *turn, __u64 now_ns, struct aia_news *news)
{
	aia_turn_witness(turn, AIA_TURN_ASKED, now_ns);
	aia_ring_ask_yield(&turn->turns->ring, turn->note.slot, turn->note.generation);
	aia_turn_tell(turn, AIACCEL_EVENT_YIELD, now_ns, news);
}

/* One turn whose time is over; false when there is none. */
static bool end_next(struct aia_sched_engine *engine, __u64 now_ns, struct aia_news *news)
{
	struct aia_sched_job *job = aia_terms_due(engine, now_ns);
	struct aia_turn *turn;
	bool claimed;

	if (!job)
		return false;
	turn = turn_of_job(job);
	claimed = aia_turn_is_claimed(turn);
	switch (aia_terms_look(job, claimed, now_ns)) {
	case AIA_TERMS_ASK:
		if (aia_sched_ask(job))
			ask(turn, now_ns, news);
		break;
	case AIA_TERMS_REVOKE:
		aia_turn_revoke(turn, aia_turn_may_run_on(turn), now_ns, news);
		break;
	case AIA_TERMS_LEAVE:
		break;
	}
	return true;
}

static void grant_all(struct aia_sched_engine *engine, __u64 now_ns, struct aia_news *news)
{
	struct aia_sched_job *job;

	news->steps++;
	while (has_steps(news) && (job = aia_choice_grant_next(engine, now_ns))) {
		struct aia_turn *turn = turn_of_job(job);

		if (job->any)
			aia_turn_stir_set(job->any, news);
		if (job->group)
			tell_group(turn, now_ns, news);
		else
			tell_granted(turn, now_ns, news);
	}
	if (has_steps(news) && engine->wanting && engine->wanting->group)
		claim(engine->wanting, news);
}

void aia_turns_dispatch(struct aia_sched_engine *engine, __u64 now_ns, struct aia_news *news)
{
	struct aia_sched_job *job;
	__u32 left = AIA_TIMERS_RUN;

	if (has_steps(news)) {
		aia_timer_set(&engine->timers, &engine->put_off, 0);
		aia_timers_run(&engine->timers, now_ns);
		do
			grant_all(engine, now_ns, news);
		while (left-- && has_steps(news) && end_next(engine, now_ns, news));
	}
	for (; has_steps(news) && (job = aia_terms_next_spared(engine)); news->steps++)
		aia_terms_asked(job, now_ns);
	for (; has_steps(news) && (job = aia_choice_yield_next(engine)); news->steps++) {
		aia_terms_asked(job, now_ns);
		ask(turn_of_job(job), now_ns, news);
	}
	if (!has_steps(news))
		aia_timer_set(&engine->timers, &engine->put_off, now_ns);
}

__u64 aia_turns_next_ns(struct aia_sched_engine *engine)
{
	__u64 timers_ns = aia_timers_next_ns(&engine->timers);
	__u64 terms_ns = aia_terms_next_ns(engine);

	return timers_ns < terms_ns ? timers_ns : terms_ns;
}
