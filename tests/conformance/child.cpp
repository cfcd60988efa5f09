// SPDX-License-Identifier: MIT
//
// Child processes of a test; see child.hpp.
#include "child.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "tap/tap.hpp"

namespace conformance {

Child::Child(const std::function<int(Child&)>& body) {
  BOOST_REQUIRE(pipe(up_) == 0);
  BOOST_REQUIRE(pipe(down_) == 0);
  pid_ = fork();
  BOOST_REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(up_[0]);
    close(down_[1]);
    int status = 125;
    try {
      status = body(*this);
    } catch (...) {
    }
    _exit(status);
  }
  close(up_[1]);
  close(down_[0]);
}

Child::~Child() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(up_[0]);
  close(down_[1]);
}

void Child::tell(uint64_t number) {
  if (write(up_[1], &number, sizeof number) != sizeof number) _exit(124);
}

void Child::sleep() {
  char byte;
  if (read(down_[0], &byte, 1) < 0) _exit(124);
}

uint64_t Child::must_hear() {
  uint64_t number = 0;
  BOOST_REQUIRE(read(up_[0], &number, sizeof number) == static_cast<ssize_t>(sizeof number));
  return number;
}

void Child::go_on() {
  BOOST_REQUIRE(write(down_[1], "", 1) == 1);
}

void Child::kill(int signal) {
  BOOST_REQUIRE(pid_ > 0);  // -1 is everybody
  BOOST_REQUIRE(::kill(pid_, signal) == 0);
}

int Child::wait() {
  int status = 0;
  BOOST_REQUIRE(waitpid(pid_, &status, 0) == pid_);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace conformance
