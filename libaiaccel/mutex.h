// SPDX-License-Identifier: MIT
//
// Locks that the compiler checks: std::mutex and its guard, with the words of Clang's thread-safety
// analysis, since those of libstdc++ do not have them. The words say beside each member what guards
// it, and beside each function what its caller holds; tests/build/tidy.sh has clang hold the code
// to them. GCC reads them as nothing, and neither costs anything when it runs.
//
// To wait, give the guard to a std::condition_variable_any. A predicate is a function of its own to
// the analysis: it says REQUIRES too.
//
// Internal: no public header includes this one.
#ifndef AIACCEL_MUTEX_H
#define AIACCEL_MUTEX_H

#include <mutex>

#ifdef __clang__
#define AIACCEL_ANALYSED(word) __attribute__((word))
#else
#define AIACCEL_ANALYSED(word)
#endif

// Of a member: touched with the mutex held only. PT_: what it points to.
#define GUARDED_BY(mutex) AIACCEL_ANALYSED(guarded_by(mutex))
#define PT_GUARDED_BY(mutex) AIACCEL_ANALYSED(pt_guarded_by(mutex))
// Of a mutex: taken before the other where both are.
#define ACQUIRED_BEFORE(mutex) AIACCEL_ANALYSED(acquired_before(mutex))
// Of a function: who calls it holds the mutex.
#define REQUIRES(mutex) AIACCEL_ANALYSED(requires_capability(mutex))
// Of a function that is right for a reason the analysis cannot see; a comment says it.
#define UNCHECKED_LOCKS AIACCEL_ANALYSED(no_thread_safety_analysis)

namespace aiaccel {

class AIACCEL_ANALYSED(capability("mutex")) Mutex {
 public:
  void lock() AIACCEL_ANALYSED(acquire_capability()) { mutex_.lock(); }
  void unlock() AIACCEL_ANALYSED(release_capability()) { mutex_.unlock(); }

  // Tells the analysis of a lock that is held under another name.
  void is_held() const AIACCEL_ANALYSED(assert_capability(this)) {}

 private:
  std::mutex mutex_;
};

// Holds a mutex to the end of the scope. lock() and unlock() are for who lets it go in between.
class AIACCEL_ANALYSED(scoped_lockable) Lock {
 public:
  explicit Lock(Mutex& mutex) AIACCEL_ANALYSED(acquire_capability(mutex)) : lock_(mutex) {}
  ~Lock() AIACCEL_ANALYSED(release_capability()) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void lock() AIACCEL_ANALYSED(acquire_capability()) { lock_.lock(); }
  void unlock() AIACCEL_ANALYSED(release_capability()) { lock_.unlock(); }

 private:
  std::unique_lock<Mutex> lock_;
};

}  // namespace aiaccel

#endif  // AIACCEL_MUTEX_H
