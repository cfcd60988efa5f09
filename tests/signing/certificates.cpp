// SPDX-License-Identifier: MIT
//
// Certificates: which may sign models, and whose word for them counts.
#include "fixture.hpp"

using namespace fixture;

namespace {

// root -> between -> leaf
struct Chain {
  Folder folder;
  KeyFiles root_key = make_key(folder, "root"), between_key = make_key(folder, "between", "P-384"),
           key = make_key(folder, "leaf");
  std::filesystem::path root = certify(folder, authority("Root"), root_key);
  std::filesystem::path between =
      certify(folder, authority("Between"), between_key, root, root_key.key);
  std::vector<std::filesystem::path> chain = {between};

  std::filesystem::path leaf(Wanted wanted = {.name = "Leaf"}) {
    return certify(folder, wanted, key, between, between_key.key);
  }
  std::string signed_by(const std::filesystem::path& certificate) {
    return aiaccel::sign("speech", kFiles,
                         Signer::from_certificate(certificate, key.key, {}, chain));
  }
  Trust trusting_root() {
    Trust trust;
    trust.add_root(root);
    return trust;
  }
  void refuses(int error, const std::string& why, const std::string& bundle) {
    refused(error, why, [&] { aiaccel::verify(bundle, kFiles, trusting_root()); });
  }
  // One that who signs is not let use, but somebody else's program may have.
  std::string forced(const std::filesystem::path& certificate) {
    Bundle bundle = aiaccel::registry::parse_bundle(signed_by(leaf()));
    bundle.certificates[0] =
        aiaccel::registry::der(aiaccel::registry::read_certificates(certificate)[0]);
    return aiaccel::registry::print(bundle);
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(certificates, Chain)

BOOST_AUTO_TEST_CASE(chains) {
  const std::string bundle = signed_by(leaf());
  const aiaccel::Verified verified = aiaccel::verify(bundle, kFiles, trusting_root());
  BOOST_TEST(verified.signer == "CN=Leaf");
  BOOST_TEST(verified.key_hint == Signer::from_key(key.key).key_hint());
  // The root in the bundle as well: it is trusted for being named, not for being there.
  chain.push_back(root);
  const std::string with_root = signed_by(leaf());
  BOOST_TEST(aiaccel::verify(with_root, kFiles, trusting_root()).signer == "CN=Leaf");
  refused(ENOKEY, "while no certificate is trusted",
          [&] { aiaccel::verify(with_root, kFiles, Trust()); });
  // All in one file.
  const auto all = folder.write("all.crt", read(leaf()) + read(between));
  chain.clear();
  BOOST_TEST(aiaccel::verify(signed_by(all), kFiles, trusting_root()).signer == "CN=Leaf");
  refused(ENOKEY, "unable to get local issuer",
          [&] { aiaccel::verify(signed_by(leaf()), kFiles, trusting_root()); });
}

BOOST_AUTO_TEST_CASE(named_themselves) {
  const auto certificate = leaf();
  const std::string bundle = signed_by(certificate);
  for (const std::filesystem::path& each : {between, certificate}) {
    Trust trust;
    trust.add_root(each);
    BOOST_TEST(aiaccel::verify(bundle, kFiles, trust).signer == "CN=Leaf");
  }
  // What was signed by a certificate is not what was signed by its key, though that is trusted.
  refused(ENOKEY, "while no certificate is trusted",
          [&] { aiaccel::verify(bundle, kFiles, trusting(key)); });
  const std::string plain = aiaccel::sign("speech", kFiles, Signer::from_key(key.key));
  refused(ENOKEY, "which is not trusted", [&] { aiaccel::verify(plain, kFiles, trusting_root()); });
}

BOOST_AUTO_TEST_CASE(other_roots) {
  const KeyFiles other_key = make_key(folder, "other");
  const auto other = certify(folder, authority("Other"), other_key);
  // The same name, another key.
  const auto twin_folder = folder.write("twin/x", "").parent_path();
  const auto twin =
      certify(folder, {.name = "twin/Root", .ca = true, .usage = "keyCertSign"}, other_key);
  const std::string bundle = signed_by(leaf());
  for (const auto& each : {other, twin}) {
    Trust trust;
    trust.add_root(each);
    refused(ENOKEY, "which does not count: ", [&] { aiaccel::verify(bundle, kFiles, trust); });
  }
  // Signed by itself.
  const auto own = certify(folder, {.name = "Own"}, key);
  refuses(ENOKEY, "self-signed certificate", signed_by(own));
  Trust trust;
  trust.add_root(own);
  chain.clear();
  BOOST_TEST(aiaccel::verify(signed_by(own), kFiles, trust).signer == "CN=Own");
}

BOOST_AUTO_TEST_CASE(times) {
  const std::string old = signed_by(leaf({.name = "Old", .from = -10 * kDay, .until = -kDay}));
  refuses(EKEYEXPIRED, "certificate has expired", old);
  refuses(EKEYEXPIRED, "certificate is not yet valid",
          signed_by(leaf({.name = "New", .from = kDay, .until = 10 * kDay})));
  // Its first day is what counts, if one says so; that of Between was not yet.
  Trust trust = trusting_root();
  trust.accept_expired(true);
  refused(EKEYEXPIRED, "certificate is not yet valid",
          [&] { aiaccel::verify(old, kFiles, trust); });
  const std::string recent = signed_by(leaf({.name = "Recent", .from = -kDay / 2, .until = -60}));
  refuses(EKEYEXPIRED, "certificate has expired", recent);
  BOOST_TEST(aiaccel::verify(recent, kFiles, trust).signer == "CN=Recent");
  // One whose first day is still to come has signed nothing.
  const std::string early = signed_by(leaf({.name = "Early", .from = kDay, .until = 10 * kDay}));
  refused(EKEYEXPIRED, "certificate is not yet valid",
          [&] { aiaccel::verify(early, kFiles, trust); });
}

BOOST_AUTO_TEST_CASE(times_of_those_above) {
  Wanted wanted = authority("Between");
  wanted.from = -20 * kDay;
  wanted.until = -10 * kDay;
  const auto old = certify(folder, wanted, between_key, root, root_key.key);
  chain = {old};
  refuses(EKEYEXPIRED, "certificate has expired", signed_by(leaf()));
}

BOOST_AUTO_TEST_CASE(uses) {
  const auto check = [&](const std::string& why, const Wanted& wanted) {
    const auto certificate = leaf(wanted);
    refused(EKEYREJECTED, why, [&] { signed_by(certificate); });
    refuses(EKEYREJECTED, why, forced(certificate));
  };
  const std::string no_usage = "its key usage does not say so", other_use = "lacks code signing";
  check(no_usage, {.name = "Nothing said", .usage = "", .extended = ""});
  check(no_usage, {.name = "Encipherment", .usage = "keyEncipherment", .extended = ""});
  check(other_use, {.name = "Web server", .extended = "serverAuth"});
  check(no_usage,
        {.name = "Web server alone", .usage = "keyAgreement", .extended = "serverAuth,clientAuth"});
  for (const Wanted& wanted :
       {Wanted{.name = "Signs", .extended = ""}, Wanted{.name = "Code", .usage = ""},
        Wanted{.name = "Several", .extended = "serverAuth,codeSigning"},
        Wanted{.name = "Any", .extended = "anyExtendedKeyUsage"}})
    BOOST_TEST(aiaccel::verify(signed_by(leaf(wanted)), kFiles, trusting_root()).signer ==
               "CN=" + wanted.name);
}

// Nor does an authority that is for other uses make signers of models, whatever it writes.
BOOST_AUTO_TEST_CASE(uses_of_those_above) {
  const auto by_authority = [&](const std::string& extended) {
    Wanted wanted = authority("Between");
    wanted.extended = extended;
    chain = {certify(folder, wanted, between_key, root, root_key.key)};
    return signed_by(leaf());
  };
  refuses(EKEYREJECTED, "by way of CN=Between, which is for other uses",
          by_authority("serverAuth"));
  refuses(EKEYREJECTED, "by way of CN=Between, which is for other uses",
          by_authority("serverAuth,clientAuth,emailProtection"));
  for (const char* fit : {"codeSigning", "serverAuth,codeSigning", "anyExtendedKeyUsage"})
    BOOST_TEST(aiaccel::verify(by_authority(fit), kFiles, trusting_root()).signer == "CN=Leaf");
  // Not for being named as trusted, either.
  const std::string bundle = by_authority("serverAuth");
  Trust trust;
  trust.add_root(chain.front());
  refused(EKEYREJECTED, "which is for other uses", [&] { aiaccel::verify(bundle, kFiles, trust); });
}

// What no authority may vouch for.
BOOST_AUTO_TEST_CASE(no_authority) {
  const KeyFiles mine = key;
  const auto plain = leaf({.name = "Plain"});
  key = make_key(folder, "below");
  const auto below = certify(folder, {.name = "Below"}, key, plain, mine.key);
  chain = {plain, between};
  refuses(EKEYREJECTED, "invalid CA certificate", signed_by(below));
}

BOOST_AUTO_TEST_CASE(forged) {
  // By a key that is not Between's, in its name.
  const KeyFiles other = make_key(folder, "other");
  refuses(EKEYREJECTED, "certificate signature failure",
          signed_by(certify(folder, {.name = "Forged"}, key, between, other.key)));
}

BOOST_AUTO_TEST_CASE(weak) {
  refuses(EKEYREJECTED, "too weak", signed_by(leaf({.name = "Weak", .digest = EVP_sha1()})));
}

BOOST_AUTO_TEST_CASE(of_another_key) {
  const KeyFiles other = make_key(folder, "other");
  refused(EKEYREJECTED, "is the certificate of another key",
          [&] { Signer::from_certificate(leaf(), other.key); });
  // A bundle with the certificate of somebody who did not sign it.
  const auto theirs = certify(folder, {.name = "Theirs"}, other, between, between_key.key);
  refuses(EBADMSG, "the signature is not one of what it stands beside", forced(theirs));
  run("openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=RSA -addext "
      "keyUsage=digitalSignature "
      "-out " +
      (folder / "rsa.crt").string());
  Trust trust;
  trust.add_root(folder / "rsa.crt");
  refused(EKEYREJECTED, "is no key on the curve",
          [&] { aiaccel::verify(forced(folder / "rsa.crt"), kFiles, trust); });
}

BOOST_AUTO_TEST_CASE(payloads) {
  const std::string bundle = signed_by(leaf());
  refused(EBADMSG, "'onnx.txt' was signed and is missing", [&] {
    aiaccel::verify(bundle, std::vector<SignedFile>{kFiles[0], kFiles[1]}, trusting_root());
  });
  json root = json::parse(bundle);
  root["dsseEnvelope"]["payload"] =
      json::parse(bundle_of(statement({{"x", kA}}).dump(), key))["dsseEnvelope"]["payload"];
  refuses(EBADMSG, "the signature is not one of what it stands beside", root.dump());
}

BOOST_AUTO_TEST_CASE(bytes) {
  json root = json::parse(signed_by(leaf()));
  json& all = root["verificationMaterial"]["x509CertificateChain"]["certificates"];
  const json first = all[0];
  for (const char* bad : {"", "AAAA", "MIIB"}) {
    all[0]["rawBytes"] = bad;
    refuses(EBADMSG, "a certificate in it is none", root.dump());
  }
  all[0] = first;
  // Bytes behind the certificate are not part of it.
  Bundle bundle = aiaccel::registry::parse_bundle(root.dump());
  bundle.certificates[0] += "x";
  refuses(EBADMSG, "a certificate in it is none", aiaccel::registry::print(bundle));
  for (unsigned i = 0; i < 20; ++i) all.push_back(first);
  refuses(EBADMSG, "more than 10 certificates", root.dump());
  all = json::array();
  refuses(EBADMSG, "it has no certificate", root.dump());
  // As bundles of one certificate may have it.
  root["verificationMaterial"] = {{"certificate", first}};
  Trust trust;
  trust.add_root(between);
  BOOST_TEST(aiaccel::verify(root.dump(), kFiles, trust).signer == "CN=Leaf");
}

BOOST_AUTO_TEST_SUITE_END()
