// SPDX-License-Identifier: MIT
//
// What goes over the broker's socket (a Unix stream socket; one connection is one context).
//
// The server speaks first: a Header with the status of the opening and a Hello; with status 0 the
// descriptors of the ring and of the consumed word come along (SCM_RIGHTS). From then on the client
// asks and the server answers, one at a time:
//
//   request  Header{request}, the struct of the call, for ENTER its completions and its jobs, for
//            POLICY the rules that replace the others, for EXPORT and IMPORT the mark of the
//            buffer's file; before these the struct has a multiple of 8 bytes
//   answer   Header{status}, the struct, for ENGINE_LIST, STATS and POLICY what goes to the
//            caller's array
//
// Pointers are sent as zero. Records of STATS are no longer than the server has something to say:
// the answer's record_size tells, and the client fills them up with zeros. kPollRequest, once a
// connection, is answered with a descriptor that becomes readable with each news in the ring, and
// when the server ends.
//
// What cannot be parsed ends the connection; what can be parsed gets the error that the UAPI header
// promises. Both sides are of one machine, so numbers are in its byte order.
#ifndef AIACCEL_BROKER_WIRE_H
#define AIACCEL_BROKER_WIRE_H

#include <uapi/aiaccel.h>

#include <cstdint>

#include "host/call.h"

namespace aiaccel::wire {

inline constexpr uint32_t kVersion = 4;

struct Header {
  uint32_t bytes;         // of the whole message, this header included
  uint32_t word;          // request: the call's number; answer: 0 or errno, positive
  uint32_t struct_bytes;  // of what follows first
  uint32_t array_bytes;   // of what follows that
};

struct Hello {
  uint32_t version;
  uint32_t ring_bytes;
};

inline constexpr uint32_t kPollRequest = 0xffffff01;

inline constexpr uint32_t kMaxRequest =
    sizeof(Header) + host::kMaxStruct +
    AIACCEL_ENTER_MAX * (sizeof(aiaccel_completion) + sizeof(aiaccel_job));

// A turn in a loop: one completion and one job. So much is read at once.
inline constexpr uint32_t kUsualRequest =
    sizeof(Header) + sizeof(aiaccel_enter) + sizeof(aiaccel_completion) + sizeof(aiaccel_job);

// A POLICY of an administrator, who alone may send rules.
inline constexpr uint32_t kMaxPolicyRequest =
    sizeof(Header) + host::kMaxStruct + AIACCEL_POLICY_MAX * sizeof(aiaccel_policy_rule);

// What a record of STATS takes on the wire at most; the client fills longer ones up with zeros.
inline constexpr uint32_t kMaxRecord = 1024;

}  // namespace aiaccel::wire

#endif  // AIACCEL_BROKER_WIRE_H
