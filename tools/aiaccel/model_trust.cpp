// SPDX-License-Identifier: MIT
//
// aiaccel model sign, verify: who vouches for a version, and whether it still is what was recorded.
#include "aiaccel/model_trust.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>
#include <aiaccel/signing.hpp>

#include <cerrno>
#include <csignal>
#include <iterator>
#include <optional>

#include "aiaccel/model_command.hpp"
#include "common/command_line.hpp"
#include "common/progress.hpp"
#include "common/text.hpp"

namespace tools {
namespace {

using aiaccel::ModelVersion;

// By commit: what a name means may change meanwhile.
aiaccel::Ref exactly(const ModelVersion& version) {
  return parse_ref(version.name + ":" + version.commit);
}

void verify_contents(const aiaccel::Registry& registry, const ModelVersion& version) {
  ProgressBar bar;
  registry.verify_contents(exactly(version), [&bar](const aiaccel::Progress& progress) {
    bar.show(progress.what, progress.done_bytes, progress.total_bytes);
  });
}

struct VerifyCommand : ModelOptions {
  std::string ref;
};

// Of an error of a signature: only where another signature, or another trust, would mend it.
std::string advice_on(const aiaccel::Error& error, const ModelVersion& version) {
  switch (error.code().value()) {
    case ENODATA:
      return fmt::format("`aiaccel model sign {} --key FILE`, with a key that is trusted here",
                         version_name(version));
    case ENOKEY:
      return "whose signatures count say aiaccel.trustedKey and aiaccel.trustedRoot in the "
             "registry's git configuration";
    default:
      return "";
  }
}

// How a verification went: fields of the JSON.
struct Verdict {
  bool contents = false;
  const char* signature = "unchecked";
  std::string signer, why, advice;
  bool good = false;
};

Verdict look_at(const aiaccel::Registry& registry, const ModelVersion& version) {
  Verdict verdict;
  try {
    verify_contents(registry, version);
    verdict.contents = true;
  } catch (const aiaccel::Error& e) {
    verdict.why = reason(e);
    if (e.code().value() == ENODATA)
      verdict.advice = fmt::format(
          "`aiaccel model pull --registry {0}`, or `git -C {0} lfs fetch --all`, brings weights",
          registry.path().string());
    return verdict;  // then no signature makes it better
  }
  verdict.good = true;
  try {
    const aiaccel::SignatureCheck check = aiaccel::check_version(registry, version);
    if (check.verified) {
      verdict.signature = "good";
      verdict.signer = check.verified->signer;
    } else if (!check.warning.empty()) {
      verdict.signature = version.is_signed ? "bad" : "missing";
      verdict.why = check.warning;
    }
  } catch (const aiaccel::Error& e) {
    verdict.good = false;
    verdict.signature = e.code().value() == ENODATA ? "missing" : "bad";
    verdict.why = reason(e);
    verdict.advice = advice_on(e, version);
  }
  return verdict;
}

// Who has signed wants to know what is missing for it to count.
void print_off(const aiaccel::Registry& registry, const ModelVersion& version) {
  fmt::print("signature  unchecked: aiaccel.signatures is off\n");
  if (!version.is_signed) return;
  std::fflush(stdout);
  const std::string git = fmt::format("git -C {} config ", printable(registry.path().string()));
  fmt::print(stderr,
             "aiaccel: hint: it has a signature; to have it checked:\n"
             "  {0}aiaccel.signatures require\n"
             "  {0}--add aiaccel.trustedKey /absolute/path/of/key.pub\n",
             git);
}

int verify(const VerifyCommand& command) {
  const aiaccel::Ref ref = parse_ref(command.ref);
  const aiaccel::Registry registry = open_registry(command);
  const ModelVersion version = registry.resolve(ref);
  const Verdict verdict = look_at(registry, version);
  if (command.json) {
    fmt::print("{}\n",
               json_text({{"name", version.name},
                          {"version", version.version.empty() ? Json() : Json(version.version)},
                          {"commit", version.commit},
                          {"contents", verdict.contents},
                          {"signature", verdict.signature},
                          {"signer", verdict.signer},
                          {"why", verdict.why}}));
    return verdict.good ? exit_ok : exit_failed;
  }
  if (!verdict.contents) throw Failure(verdict.why, verdict.advice);
  fmt::print("{}\ncontents   {}, {}: as recorded\n", printable(version_name(version)),
             count_text(version.files.size(), "file"), bytes_text(size_of(version)));
  if (!verdict.good) throw Failure(verdict.why, verdict.advice);
  if (!verdict.signer.empty())
    fmt::print("signature  {}, {}\n", verdict.signature, printable(verdict.signer));
  else if (!verdict.why.empty())
    fmt::print("signature  {}: {}\n", verdict.signature, printable(verdict.why));
  else
    print_off(registry, version);
  return exit_ok;
}

volatile std::sig_atomic_t signalled =
    0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

// While this is there, a signal that ends programs or stops them waits for whoever looks: the
// terminal would be left as it is. wait() lets one in; the destructor has it do what it does
// otherwise. One that is ignored, as by nohup, stays ignored.
class Deferred {
 public:
  Deferred() {
    sigset_t set;
    ::sigemptyset(&set);
    struct sigaction action {};
    action.sa_handler = [](int signal) { signalled = signal; };
    for (std::size_t i = 0; i < std::size(kSignals); i++) ::sigaddset(&set, kSignals[i]);
    ::pthread_sigmask(SIG_BLOCK, &set, &mask_);
    signalled = 0;
    for (std::size_t i = 0; i < std::size(kSignals); i++) {
      ::sigaction(kSignals[i], nullptr, &before_[i]);
      if (before_[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &action, nullptr);
    }
  }
  ~Deferred() {
    for (std::size_t i = 0; i < std::size(kSignals); i++)
      ::sigaction(kSignals[i], &before_[i], nullptr);
    ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
    if (signalled) ::raise(signalled);
  }
  Deferred(const Deferred&) = delete;
  Deferred& operator=(const Deferred&) = delete;

  // False once there was a signal, or an error.
  bool wait(int fd) const {
    pollfd one{fd, POLLIN, 0};
    return ::ppoll(&one, 1, nullptr, &mask_) == 1 && !signalled;
  }

 private:
  static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
  sigset_t mask_{};
  struct sigaction before_[std::size(kSignals)]{};
};

// From the terminal, which does not show it.
std::string ask_passphrase() {
  const int tty =
      ::open("/dev/tty", O_RDWR | O_CLOEXEC);  // NOLINT(cppcoreguidelines-pro-type-vararg)
  termios before{};
  if (tty < 0 || ::tcgetattr(tty, &before) < 0) {
    if (tty >= 0) ::close(tty);
    throw Failure("the key has a passphrase, and there is no terminal to ask for it", "");
  }
  termios silent = before;
  silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  silent.c_lflag |= ECHONL;
  static constexpr std::string_view kQuestion = "Passphrase of the key: ";
  std::string answer;
  // Who stops the program at the question is asked again when it goes on.
  for (bool stopped = true; stopped;) {
    answer.clear();
    std::optional<Deferred> signals(std::in_place);
    ::tcsetattr(tty, TCSAFLUSH, &silent);
    const bool good = ::write(tty, kQuestion.data(), kQuestion.size()) >= 0;
    for (char c = 0; good && signals->wait(tty) && ::read(tty, &c, 1) == 1 && c != '\n';)
      answer += c;
    ::tcsetattr(tty, TCSAFLUSH, &before);
    stopped = signalled == SIGTSTP;
    signals.reset();  // ends the program if there was one that does, or stops it
  }
  ::close(tty);
  return answer;
}

struct SignCommand : ModelOptions {
  std::string ref, key, certificate;
  std::vector<std::string> chain;
};

int sign(const SignCommand& command) {
  const aiaccel::Ref ref = parse_ref(command.ref);
  aiaccel::Registry registry = open_registry(command);
  const ModelVersion version = registry.resolve(ref);
  const std::vector<std::filesystem::path> chain(command.chain.begin(), command.chain.end());
  const aiaccel::Signer signer = command.certificate.empty()
                                     ? aiaccel::Signer::from_key(command.key, ask_passphrase)
                                     : aiaccel::Signer::from_certificate(
                                           command.certificate, command.key, ask_passphrase, chain);
  // Nobody should vouch for what is not there.
  verify_contents(registry, version);
  const std::string path = aiaccel::sign_version(registry, version, signer);
  if (command.json)
    fmt::print("{}\n",
               json_text({{"name", version.name},
                          {"version", version.version.empty() ? Json() : Json(version.version)},
                          {"commit", version.commit},
                          {"path", path},
                          {"key_hint", signer.key_hint()}}));
  else
    fmt::print("{}  signed by key {}\n", printable(version_name(version)),
               signer.key_hint().substr(0, 16));
  warn_of_signature(registry, version);
  return exit_ok;
}

}  // namespace

void warn_of_signature(const aiaccel::Registry& registry, const ModelVersion& version) {
  std::fflush(stdout);
  const std::string name = printable(version_name(version));
  try {
    const std::string warning = aiaccel::check_version(registry, version).warning;
    if (!warning.empty())
      fmt::print(stderr, "aiaccel: warning: nobody vouches for {}: {}\n", name, printable(warning));
  } catch (const aiaccel::Error& e) {
    fmt::print(stderr, "aiaccel: warning: nothing loads {} here: {}\n", name, printable(reason(e)));
  }
}

std::filesystem::path trusted_checkout(const aiaccel::Registry& registry,
                                       const ModelVersion& version) {
  try {
    const aiaccel::VerifiedCheckout checkout = aiaccel::checkout_verified(registry, version);
    if (!checkout.check.warning.empty())
      fmt::print(stderr, "aiaccel: {}: {}\n", printable(version_name(version)),
                 printable(checkout.check.warning));
    return checkout.folder;
  } catch (const aiaccel::Error& e) {
    throw Failure(
        fmt::format("{}: {}", version_name(version), reason(e)),
        fmt::format("`aiaccel model verify {}` says what is wrong", version_name(version)));
  }
}

void add_model_verify(CLI::App& model, Globals& globals) {
  auto options = std::make_shared<VerifyCommand>();
  CLI::App* command = add_model_command(model, globals, options, "verify",
                                        "Check a version's files and signature", verify);
  command->add_option("REF", options->ref, "Such as NAME@v1.2.3 or NAME#prod")->required();
}

void add_model_sign(CLI::App& model, Globals& globals) {
  auto options = std::make_shared<SignCommand>();
  CLI::App* command =
      add_model_command(model, globals, options, "sign", "Sign a version's files", sign);
  command->add_option("REF", options->ref, "Such as NAME@v1.2.3 or NAME#prod")->required();
  command->add_option("--key", options->key, "The private key, in PEM")
      ->type_name("FILE")
      ->required()
      ->check(not_empty());
  CLI::Option* certificate =
      command->add_option("--certificate", options->certificate, "The key's certificate, in PEM")
          ->type_name("FILE")
          ->check(not_empty());
  command->add_option("--chain", options->chain, "Certificates between that one and the root")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->needs(certificate);
}

}  // namespace tools
