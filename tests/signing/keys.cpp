// SPDX-License-Identifier: MIT
//
// Keys as files: which are taken, passphrases, and folders whose files are hashed.
#include <openssl/err.h>
#include <sys/stat.h>

#include <stdexcept>

#include "fixture.hpp"

using namespace fixture;

namespace {

struct Keys {
  Folder folder;
  KeyFiles key = make_key(folder, "key");
  std::string at = "cd " + folder.path().string() + " && ";
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(keys, Keys)

BOOST_AUTO_TEST_CASE(curves) {
  for (const char* curve : {"P-256", "P-384", "P-521"}) {
    const KeyFiles each = make_key(folder, curve, curve);
    const std::string bundle = aiaccel::sign("m", kFiles, Signer::from_key(each.key));
    BOOST_TEST(aiaccel::verify(bundle, kFiles, trusting(each)).model_name == "m");
  }
}

BOOST_AUTO_TEST_CASE(other_kinds) {
  run(at +
      "openssl genpkey -algorithm RSA -out rsa.pem && openssl pkey -in rsa.pem -pubout -out "
      "rsa.pub");
  run(at +
      "openssl genpkey -algorithm ED25519 -out ed.pem && openssl pkey -in ed.pem -pubout -out "
      "ed.pub");
  run(at +
      "openssl ecparam -name secp256k1 -genkey -noout -out k1.pem && "
      "openssl pkey -in k1.pem -pubout -out k1.pub");
  for (const char* name : {"rsa", "ed", "k1"}) {
    const std::string base = folder / name;
    refused(EKEYREJECTED, "is no key on the curve", [&] { Signer::from_key(base + ".pem"); });
    refused(EKEYREJECTED, "is no key on the curve", [&] { Trust().add_key(base + ".pub"); });
  }
}

// A curve's own parameters, which an attacker may choose, in place of its name.
BOOST_AUTO_TEST_CASE(parameters_spelled_out) {
  run(at + "openssl ecparam -name prime256v1 -genkey -param_enc explicit -noout -out explicit.pem");
  refused(EKEYREJECTED, "is no key on the curve",
          [&] { Signer::from_key(folder / "explicit.pem"); });
}

BOOST_AUTO_TEST_CASE(one_hint_for_a_key) {
  run(at + "openssl ec -in key.pem -pubout -conv_form compressed -out compressed.pub");
  BOOST_TEST(read(folder / "compressed.pub") != read(key.pub));
  Trust trust;
  trust.add_key(folder / "compressed.pub");
  const std::string bundle = aiaccel::sign("m", kFiles, Signer::from_key(key.key));
  BOOST_TEST(aiaccel::verify(bundle, kFiles, trust).key_hint ==
             Signer::from_key(key.key).key_hint());
}

BOOST_AUTO_TEST_CASE(passphrases) {
  run(at + "openssl pkcs8 -topk8 -in key.pem -passout pass:sesame -out pkcs8.pem");
  run(at + "openssl ec -in key.pem -aes256 -passout pass:sesame -out old.pem");
  for (const char* name : {"pkcs8.pem", "old.pem"}) {
    unsigned asked = 0;
    const Signer signer = Signer::from_key(folder / name, [&] { return ++asked, "sesame"; });
    BOOST_TEST(asked == 1);
    BOOST_TEST(signer.key_hint() == Signer::from_key(key.key).key_hint());
    refused(EKEYREJECTED, "the passphrase does not fit",
            [&] { Signer::from_key(folder / name, [] { return "sesam"; }); });
    refused(EKEYREJECTED, "the passphrase does not fit",
            [&] { Signer::from_key(folder / name, [] { return std::string(100000, 'x'); }); });
    // Without anybody to ask, nothing waits at the terminal.
    refused(EKEYREJECTED, "is encrypted: it needs a passphrase",
            [&] { Signer::from_key(folder / name); });
    BOOST_CHECK_THROW(
        Signer::from_key(folder / name,
                         []() -> std::string { throw std::out_of_range("no answer"); }),
        std::out_of_range);
  }
  // One that is not encrypted asks nothing.
  Signer::from_key(key.key, []() -> std::string { throw std::out_of_range("asked"); });
}

BOOST_AUTO_TEST_CASE(files_that_are_none) {
  refused(ENOENT, "nothing.pem", [&] { Signer::from_key(folder / "nothing.pem"); });
  refused(EINVAL, "is no regular file", [&] { Signer::from_key(folder.path()); });
  BOOST_REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  refused(EINVAL, "is no regular file", [&] { Signer::from_key(folder / "pipe"); });
  refused(EKEYREJECTED, "is no private key in PEM",
          [&] { Signer::from_key(folder.write("empty", "")); });
  refused(EKEYREJECTED, "is no private key in PEM", [&] { Signer::from_key(key.pub); });
  refused(EKEYREJECTED, "is no public key in PEM", [&] { Trust().add_key(key.key); });
  refused(EKEYREJECTED, "is no certificate in PEM", [&] { Trust().add_root(key.pub); });
  refused(EFBIG, "is too long",
          [&] { Trust().add_key(folder.write("long", std::string(2 << 20, 'x'))); });
}

BOOST_AUTO_TEST_CASE(folders) {
  const Folder model;
  model.write("onnx/model.onnx", "weights");
  model.write("onnx.txt", "");
  model.write("aiaccel.json", "{}");
  const std::vector<SignedFile> files = aiaccel::hash_folder(model.path());
  BOOST_REQUIRE(files.size() == 3);
  BOOST_TEST(files[0].path == "aiaccel.json");
  BOOST_TEST(files[1].path == "onnx/model.onnx");
  BOOST_TEST(files[2].path == "onnx.txt");
  for (const SignedFile& file : files)
    BOOST_TEST(run("sha256sum <" + (model / file.path).string()) == file.sha256 + "  -\n");
  const std::string bundle = aiaccel::sign("m", files, Signer::from_key(key.key));
  const Trust trust = trusting(key);
  const auto check = [&] { aiaccel::verify(bundle, aiaccel::hash_folder(model.path()), trust); };
  check();
  model.write("onnx/model.onnx", "weight5");
  refused(EBADMSG, "'onnx/model.onnx' is not what was signed", check);
  model.write("onnx/model.onnx", "weights");
  check();

  refused(ENOENT, "", [&] { aiaccel::hash_folder(model / "nothing"); });
  std::filesystem::create_symlink("onnx.txt", model / "link");
  refused(ELOOP, "link: is a symbolic link", check);
  std::filesystem::remove(model / "link");
  std::filesystem::create_directory_symlink("onnx", model / "link");
  refused(ELOOP, "link: is a symbolic link", check);
  std::filesystem::remove(model / "link");
  BOOST_REQUIRE(::mkfifo((model / "pipe").c_str(), 0600) == 0);
  refused(EINVAL, "pipe: is neither file nor folder", check);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_signed) {
  const Signer signer = Signer::from_key(key.key);
  refused(EINVAL, "is there twice", [&] {
    aiaccel::sign("m", std::vector<SignedFile>{{"a", kA}, {"a", kB}}, signer);
  });
  refused(EINVAL, "no UTF-8", [&] {
    aiaccel::sign("m", std::vector<SignedFile>{{"\xff", kA}}, signer);
  });
  refused(EBADMSG, "the digest of 'a' is none", [&] {
    aiaccel::sign("m", std::vector<SignedFile>{{"a", "abc"}}, signer);
  });
}

// What a program has yet to read in OpenSSL's list of errors stays, and nothing of ours is added.
BOOST_AUTO_TEST_CASE(errors_of_others) {
  ERR_clear_error();
  for (const bool pending : {false, true}) {
    if (pending) ERR_raise(ERR_LIB_USER, 77);
    const std::string bundle = aiaccel::sign("m", kFiles, Signer::from_key(key.key));
    aiaccel::verify(bundle, kFiles, trusting(key));
    refused(EKEYREJECTED, "is no private key in PEM", [&] { Signer::from_key(key.pub); });
    refused(EKEYREJECTED, "is no public key in PEM", [&] { Trust().add_key(key.key); });
    refused(EKEYREJECTED, "is no certificate in PEM", [&] { Trust().add_root(key.pub); });
    const auto own = certify(folder, {.name = "Own"}, key);
    const std::string certified =
        aiaccel::sign("m", kFiles, Signer::from_certificate(own, key.key));
    Trust trust;
    refused(ENOKEY, "no certificate is trusted",
            [&] { aiaccel::verify(certified, kFiles, trust); });
    trust.add_root(own);
    BOOST_TEST(aiaccel::verify(certified, kFiles, trust).signer == "CN=Own");
    trust = Trust();
    trust.add_root(certify(folder, authority("Other"), make_key(folder, "other")));
    refused(ENOKEY, "self-signed certificate", [&] { aiaccel::verify(certified, kFiles, trust); });
    const unsigned long left = ERR_get_error();
    BOOST_TEST((pending ? ERR_GET_REASON(left) == 77 : left == 0));
    BOOST_TEST(ERR_get_error() == 0U);
  }
}

// A model of very many files.
BOOST_AUTO_TEST_CASE(ten_thousand_files) {
  std::vector<SignedFile> files;
  for (unsigned i = 0; i < 10000; ++i) files.push_back({"shards/" + std::to_string(i), kA});
  const std::string bundle = aiaccel::sign("m", files, Signer::from_key(key.key));
  BOOST_TEST(aiaccel::verify(bundle, files, trusting(key)).model_name == "m");
  files[5000].sha256 = kB;
  refused(EBADMSG, "'shards/5000' is not what was signed",
          [&] { aiaccel::verify(bundle, files, trusting(key)); });
}

BOOST_AUTO_TEST_SUITE_END()
