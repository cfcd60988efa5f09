// SPDX-License-Identifier: MIT
//
// find.cpp, for the client that is linked with libcuda.
#define CLIENT_IS_LINKED
#include "client/find.cpp"
