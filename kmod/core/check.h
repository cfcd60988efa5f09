/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What can be said of an argument by looking at it alone: each call's part of the
 * errno ladder of the UAPI header, from EOPNOTSUPP to EOVERFLOW. Shared by all adapters, so
 * that no transport answers differently. 0 or a negative errno. Every call has its check, those
 * too whose arguments are all as good as any; so an adapter has no exceptions to know.
 */
#ifndef AIA_CORE_CHECK_H
#define AIA_CORE_CHECK_H

#include <uapi/aiaccel.h>
#include "types.h"

#define AIA_MAX_SLOTS 1024 /* of an engine */

int aia_check_engine_list(const struct aiaccel_engine_list *arg);
int aia_check_engine_info(const struct aiaccel_engine_info *arg);
int aia_check_engine_register(const struct aiaccel_engine_register *arg);
int aia_check_engine_unregister(const struct aiaccel_engine_unregister *arg);
int aia_check_stats(const struct aiaccel_stats *arg);
int aia_check_control(const struct aiaccel_control *arg);
int aia_check_revoke(const struct aiaccel_revoke *arg);
int aia_check_destroy(const struct aiaccel_destroy *arg);
int aia_check_alloc(const struct aiaccel_alloc *arg);
int aia_check_pin(const struct aiaccel_pin *arg);
int aia_check_buffer_info(const struct aiaccel_buffer_info *arg);
int aia_check_import(const struct aiaccel_import *arg);
int aia_check_quota(const struct aiaccel_quota *arg);
int aia_check_export(const struct aiaccel_export *arg);
int aia_check_buffer_revoke(const struct aiaccel_buffer_revoke *arg);
int aia_check_reserve(const struct aiaccel_reserve *arg);
int aia_check_queue_create(const struct aiaccel_queue_create *arg);
int aia_check_enter(const struct aiaccel_enter *arg);
int aia_check_job(const struct aiaccel_job *arg);
int aia_check_completion(const struct aiaccel_completion *arg);
int aia_check_policy(const struct aiaccel_policy *arg);
int aia_check_policy_rule(const struct aiaccel_policy_rule *arg);

/* Printable ASCII, a NUL, and zeros to the end. */
bool aia_check_label(const char label[AIACCEL_LABEL_LEN]);

#endif
