// SPDX-License-Identifier: MIT
//
// Signatures that others made are read, and others read ours: the format's own tool (reference/),
// and the `openssl` command, by which anybody can check a signature by hand.
#include "fixture.hpp"

using namespace fixture;
using aiaccel::registry::parse_bundle;
using aiaccel::registry::parse_certificate;

namespace {

const std::string kFolder = "tests/signing/reference/";
const SignedFile kSecond = {"signme-2",
                            "32dcb1f8e1ae52d5963e56a6ba06ab58b424c15ed2a6b70d2feca1d089370028"};
const std::vector<SignedFile> kByKey = {
    {"signme-1", "bc9a717db6064a32cbe9eae6fc40651dd6d36ef1757183f590eff2b1765d7ebc"}, kSecond};
const std::vector<SignedFile> kByCertificate = {
    {"signme-1", "f6310066c7320497ea554260c32c43660bff648cb2a61194832cc086077085e1"}, kSecond};

std::filesystem::path write_pem(const Folder& folder, const std::string& name,
                                const std::string& der) {
  const std::filesystem::path in = folder.write(name + ".der", der);
  run("openssl x509 -inform der -in " + in.string() + " -out " +
      (folder / (name + ".crt")).string());
  return folder / (name + ".crt");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reference)

BOOST_AUTO_TEST_CASE(their_signature_by_key) {
  const Folder folder;
  const Bundle certified = parse_bundle(read(kFolder + "certificate.sig"));
  const auto leaf = write_pem(folder, "leaf", certified.certificates.at(0));
  run("openssl x509 -in " + leaf.string() + " -pubkey -noout >" + (folder / "key.pub").string());
  Trust trust;
  trust.add_key(folder / "key.pub");
  const std::string bundle = read(kFolder + "key.sig");
  const aiaccel::Verified verified = aiaccel::verify(bundle, kByKey, trust);
  BOOST_TEST(verified.model_name == "v1.1.0-elliptic-key");
  BOOST_TEST(verified.key_hint ==
             "e8450dec4eb99dae995da9af1bc2cc9f76ed669ee2e744f57abba763df3e3f8e");
  refused(EBADMSG, "'signme-1' is not what was signed",
          [&] { aiaccel::verify(bundle, kByCertificate, trust); });
}

BOOST_AUTO_TEST_CASE(their_signature_by_certificate) {
  const Folder folder;
  const std::string bundle = read(kFolder + "certificate.sig");
  // The root is not in it: the certificate between is what can be trusted.
  Trust trust;
  trust.add_root(write_pem(folder, "between", parse_bundle(bundle).certificates.at(1)));
  const aiaccel::Verified verified = aiaccel::verify(bundle, kByCertificate, trust);
  BOOST_TEST(verified.model_name == "v1.1.0-certificate");
  BOOST_TEST(verified.signer == "CN=intermediate-ca");
  refused(EBADMSG, "'signme-1' is not what was signed",
          [&] { aiaccel::verify(bundle, kByKey, trust); });
}

// The statement to the byte as the tool would make it of the same files, white space aside.
BOOST_AUTO_TEST_CASE(same_statement) {
  const json theirs = json::parse(parse_bundle(read(kFolder + "key.sig")).payload);
  const Folder folder;
  const KeyFiles key = make_key(folder, "key");
  const std::string bundle =
      aiaccel::sign("v1.1.0-elliptic-key", kByKey, Signer::from_key(key.key));
  json ours = json::parse(parse_bundle(bundle).payload);
  ours["predicate"]["serialization"]["ignore_paths"] =
      theirs["predicate"]["serialization"]["ignore_paths"];
  BOOST_TEST(ours == theirs);
  // And the bundle around it says the same things.
  json frame = json::parse(read(kFolder + "key.sig")), own = json::parse(bundle);
  for (json* each : {&frame, &own}) {
    (*each)["verificationMaterial"]["publicKey"]["hint"] = "";
    (*each)["dsseEnvelope"]["payload"] = "";
    (*each)["dsseEnvelope"]["signatures"][0]["sig"] = "";
  }
  BOOST_TEST(own == frame);
}

BOOST_AUTO_TEST_CASE(openssl_reads_ours) {
  const std::map<std::string, std::string> digests = {
      {"P-256", "sha256"}, {"P-384", "sha384"}, {"P-521", "sha512"}};
  for (const auto& [curve, digest] : digests) {
    const Folder folder;
    const KeyFiles key = make_key(folder, "key", curve);
    const std::string bundle = aiaccel::sign("speech", kFiles, Signer::from_key(key.key));
    const json envelope = json::parse(bundle)["dsseEnvelope"];
    folder.write("payload.txt", envelope["payload"].get<std::string>());
    folder.write("sig.txt", envelope["signatures"][0]["sig"].get<std::string>());
    const std::string at = "cd " + folder.path().string() + " && ";
    run(at + "base64 -d payload.txt >payload && base64 -d sig.txt >sig");
    run(at +
        "{ printf 'DSSEv1 28 application/vnd.in-toto+json %d ' $(stat -c %s payload); cat payload; "
        "} >pae");
    BOOST_TEST(run(at + "openssl dgst -" + digest + " -verify key.pub -signature sig pae") ==
               "Verified OK\n");
    const std::string hint = json::parse(bundle)["verificationMaterial"]["publicKey"]["hint"];
    BOOST_TEST(run(at + "sha256sum <key.pub") == hint + "  -\n");
    BOOST_TEST(json::parse(read(folder / "payload"))["subject"] == statement()["subject"]);
  }
}

// docs/signing.md says how to verify by hand, once model and signature are there: that holds for
// what is right, and for nothing else.
BOOST_AUTO_TEST_CASE(as_documented) {
  const std::string document = read("docs/signing.md");
  const std::size_t begin = document.find("jq -r"), end = document.find("```", begin);
  BOOST_REQUIRE(end != std::string::npos);
  const Folder folder;
  folder.write("by-hand", "set -euo pipefail\n" + document.substr(begin, end - begin));
  const std::string by_hand = "cd " + folder.path().string() + " && bash by-hand";
  const KeyFiles key = make_key(folder, "signer");
  folder.write("speech/onnx/model.onnx", "weights");
  folder.write("speech/config.json", "{}");
  folder.write("speech.sig", aiaccel::sign("speech", aiaccel::hash_folder(folder / "speech"),
                                           Signer::from_key(key.key)));
  BOOST_TEST(run(by_hand) == "Verified OK\n");
  folder.write("speech/config.json", "[]");
  run(by_hand, 1);
  folder.write("speech/config.json", "{}");
  folder.write("speech/more", "");
  run(by_hand, 1);
  std::filesystem::remove(folder / "speech/more");
  run(by_hand);
  make_key(folder, "signer");
  run(by_hand, 1);
}

BOOST_AUTO_TEST_CASE(openssl_signs_for_us) {
  const Folder folder;
  const KeyFiles key = make_key(folder, "key", "P-384");
  const std::string payload = statement().dump(2);
  folder.write("payload", payload);
  const std::string at = "cd " + folder.path().string() + " && ";
  run(at +
      "{ printf 'DSSEv1 28 application/vnd.in-toto+json %d ' $(stat -c %s payload); cat payload; } "
      ">pae");
  run(at + "openssl dgst -sha384 -sign key.pem -out sig pae");
  const std::string text = run(
      at +
      "printf "
      "'{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\",\"verificationMaterial\":"
      "{\"publicKey\":{\"hint\":\"%s\"}},\"dsseEnvelope\":{\"payload\":\"%s\",\"payloadType\":"
      "\"application/vnd.in-toto+json\",\"signatures\":[{\"sig\":\"%s\"}]}}' "
      "$(sha256sum <key.pub | cut -c1-64) $(base64 -w0 payload) $(base64 -w0 sig)");
  BOOST_TEST(aiaccel::verify(text, kFiles, trusting(key)).model_name == "speech");
}

BOOST_AUTO_TEST_SUITE_END()
