// SPDX-License-Identifier: MIT
//
// What was tampered with is refused, and for its own reason: files, the statement, the envelope,
// the bundle, each with all else right.
#include "fixture.hpp"

using namespace fixture;

namespace {

struct Speech {
  Folder folder;
  KeyFiles key = make_key(folder, "key");
  Trust trust = trusting(key);
  std::string bundle = aiaccel::sign("speech", kFiles, Signer::from_key(key.key));

  void refuses_files(const std::string& why, const std::vector<SignedFile>& files,
                     int error = EBADMSG) {
    refused(error, why, [&] { aiaccel::verify(bundle, files, trust); });
  }
  void refuses_bundle(const std::string& why, const std::string& text, int error = EBADMSG) {
    refused(error, why, [&] { aiaccel::verify(text, kFiles, trust); });
  }
  // The statement is signed as it should be: its own contents are what is wrong.
  void refuses_statement(const std::string& why, const json& what, int error = EBADMSG) {
    refuses_bundle(why, bundle_of(what.dump(), key), error);
  }
  template <typename Change>
  std::string changed(Change change) const {
    json root = json::parse(bundle);
    change(root);
    return root.dump();
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(tampering, Speech)

BOOST_AUTO_TEST_CASE(untouched) {
  const aiaccel::Verified verified = aiaccel::verify(bundle, kFiles, trust);
  BOOST_TEST(verified.model_name == "speech");
  BOOST_TEST(verified.signer == "key " + verified.key_hint);
  // The order in which files are told does not matter; nor that of the statement made by hand.
  const std::vector<SignedFile> backwards(kFiles.rbegin(), kFiles.rend());
  BOOST_TEST(aiaccel::verify(bundle, backwards, trust).model_name == "speech");
  BOOST_TEST(aiaccel::verify(bundle_of(statement().dump(), key), kFiles, trust).model_name ==
             "speech");
}

BOOST_AUTO_TEST_CASE(files) {
  refuses_files("'onnx/model.onnx' is not what was signed",
                {kFiles[0], {"onnx/model.onnx", kC}, kFiles[2]});
  refuses_files("'onnx/model.onnx' was signed and is missing", {kFiles[0], kFiles[2]});
  refuses_files("'aiaccel.json' was signed and is missing", {});
  refuses_files("'zz' was not signed", {kFiles[0], kFiles[1], kFiles[2], {"zz", kA}});
  refuses_files("'a' was not signed", {{"a", kA}, kFiles[0], kFiles[1], kFiles[2]});
  // Another name for the same contents.
  refuses_files("'onnx/model.onnx' was signed and is missing",
                {kFiles[0], {"onnx/other.onnx", kB}, kFiles[2]});
  refuses_files("'onnx.txt' is there twice", {kFiles[0], kFiles[1], kFiles[2], kFiles[2]}, EINVAL);
}

BOOST_AUTO_TEST_CASE(payload_and_signature) {
  const std::string wrong = "the signature is not one of what it stands beside";
  refuses_bundle(wrong, changed([&](json& root) {
                   // Right in itself, and of other files: but not what was signed.
                   const json other = json::parse(bundle_of(statement({{"x", kA}}).dump(), key));
                   root["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"];
                 }));
  refuses_bundle(
      wrong, changed([&](json& root) {
        const std::string other = aiaccel::sign("other", kFiles, Signer::from_key(key.key));
        root["dsseEnvelope"]["signatures"] = json::parse(other)["dsseEnvelope"]["signatures"];
      }));
  refuses_bundle(wrong,
                 changed([](json& root) { root["dsseEnvelope"]["signatures"][0]["sig"] = ""; }));
  refuses_bundle(
      wrong, changed([](json& root) { root["dsseEnvelope"]["signatures"][0]["sig"] = "MAAA"; }));
  // Each bit of the signature counts.
  const std::string sig = aiaccel::registry::parse_bundle(bundle).signature;
  Bundle parsed = aiaccel::registry::parse_bundle(bundle);
  for (std::size_t i = 0; i < sig.size(); ++i) {
    parsed.signature = sig;
    parsed.signature[i] = static_cast<char>(sig[i] ^ 1 << i % 8);
    refuses_bundle(wrong, aiaccel::registry::print(parsed));
  }
}

BOOST_AUTO_TEST_CASE(statements) {
  const auto with = [](const char* pointer, const json& value) {
    json made = statement();
    made[json::json_pointer(pointer)] = value;
    return made;
  };
  refuses_statement("'_type' is 'https://in-toto.io/Statement/v0.1'",
                    with("/_type", "https://in-toto.io/Statement/v0.1"));
  refuses_statement("'predicateType' is 'https://slsa.dev/provenance/v1'",
                    with("/predicateType", "https://slsa.dev/provenance/v1"));
  refuses_statement("the statement's digest is not that", with("/subject/0/digest/sha256", kA));
  refuses_statement("the statement's digest is not that", with("/subject/0/digest/sha256", ""));
  refuses_statement("the statement is of 0 subjects", with("/subject", json::array()));
  refuses_statement("the statement is of 2 subjects",
                    with("/subject/1", statement()["subject"][0]));
  refuses_statement("made of 'shards'", with("/predicate/serialization/method", "shards"),
                    EOPNOTSUPP);
  refuses_statement("made with 'blake2b'", with("/predicate/serialization/hash_type", "blake2b"),
                    EOPNOTSUPP);
  refuses_statement("'onnx/model.onnx' is not hashed",
                    with("/predicate/resources/1/algorithm", "md5"));
  refuses_statement("the digest of 'onnx/model.onnx' is none",
                    with("/predicate/resources/1/digest", "bb"));
  refuses_statement("'digest' is missing", with("/predicate/resources/1/digest", nullptr));
  refuses_statement("'name' is of the wrong type", with("/predicate/resources/1/name", 1));
  refuses_statement("a resource is of the wrong type",
                    with("/predicate/resources/1", "onnx/model.onnx"));
  refuses_statement("'predicate' is missing", with("/predicate", nullptr));
  refuses_statement("the statement is no object", json::array());
  refuses_bundle("the statement is no JSON", bundle_of("{", key));
  refuses_bundle("the statement is no JSON", bundle_of("", key));
  refuses_bundle("the statement says '_type' twice",
                 bundle_of(R"({"_type": "a", "_type": "b"})", key));
}

BOOST_AUTO_TEST_CASE(paths) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"../model.onnx", "leaves the model's folder"},
      {"onnx/../../model.onnx", "leaves the model's folder"},
      {"onnx/..", "leaves the model's folder"},
      {"/etc/passwd", "does not lie in the model's folder"},
      {"", "is empty"},
      {"./model.onnx", "is not in its shortest form"},
      {"onnx//model.onnx", "is not in its shortest form"},
      {"onnx/", "is not in its shortest form"},
      {std::string("model\0.onnx", 11), "has a control character"},
      {"model\n.onnx", "has a control character"},
      {std::string(5000, 'x'), "is too long"},
  };
  for (const auto& [path, why] : cases) {
    const std::vector<SignedFile> listed = {{path, kA}};
    refuses_statement(why, statement(listed));
    // Not even where the same path is what is there.
    refused(EBADMSG, why,
            [&] { aiaccel::verify(bundle_of(statement(listed).dump(), key), listed, trust); });
    refused(EINVAL, why, [&] { aiaccel::sign("speech", listed, Signer::from_key(key.key)); });
  }
  const std::vector<SignedFile> fine = {{"..model", kA}, {"a b/...", kB}, {"größe", kC}};
  BOOST_TEST(aiaccel::verify(aiaccel::sign("m", fine, Signer::from_key(key.key)), fine, trust)
                 .model_name == "m");
}

BOOST_AUTO_TEST_CASE(listed_twice) {
  refuses_statement("'onnx.txt' is listed twice",
                    statement({kFiles[0], kFiles[1], kFiles[2], kFiles[2]}));
  refuses_statement("'onnx.txt' is listed twice",
                    statement({kFiles[0], kFiles[1], kFiles[2], {"onnx.txt", kA}}));
}

// What a signature says is to be ignored is not: files beside those listed are files that nobody
// signed.
BOOST_AUTO_TEST_CASE(nothing_is_ignored) {
  json made = statement();
  made["predicate"]["serialization"]["ignore_paths"] = {"zz", "extra"};
  const std::string text = bundle_of(made.dump(), key);
  BOOST_TEST(aiaccel::verify(text, kFiles, trust).model_name == "speech");
  std::vector<SignedFile> more = kFiles;
  more.push_back({"zz", kA});
  refused(EBADMSG, "'zz' was not signed", [&] { aiaccel::verify(text, more, trust); });
}

BOOST_AUTO_TEST_CASE(envelopes) {
  refuses_bundle("'payloadType' is 'text/plain'",
                 changed([](json& root) { root["dsseEnvelope"]["payloadType"] = "text/plain"; }));
  refuses_bundle("the envelope has 0 signatures",
                 changed([](json& root) { root["dsseEnvelope"]["signatures"] = json::array(); }));
  refuses_bundle("the envelope has 2 signatures", changed([](json& root) {
                   json& all = root["dsseEnvelope"]["signatures"];
                   all.push_back(all[0]);
                 }));
  refuses_bundle("the envelope has 1 signatures",
                 changed([](json& root) { root["dsseEnvelope"]["signatures"][0] = "x"; }));
  refuses_bundle("'payload' is no base64",
                 changed([](json& root) { root["dsseEnvelope"]["payload"] = "ab*d"; }));
  for (const char* bad : {"abcde", "abc=d", "ab=", "abcd=", "ab===", "=", "aR==", "aaB="})
    refuses_bundle("'payload' is ",
                   changed([&](json& root) { root["dsseEnvelope"]["payload"] = bad; }));
  refuses_bundle("'dsseEnvelope' is missing",
                 changed([](json& root) { root.erase("dsseEnvelope"); }));
  refuses_bundle("it is one of a message", changed([](json& root) {
                   root["messageSignature"] = {{"signature", "aaaa"}};
                 }));
}

// Protocol buffers' JSON may be written in several ways, and all are read.
BOOST_AUTO_TEST_CASE(base64) {
  std::vector<SignedFile> files = {{"größe?>", kA}};
  for (unsigned i = 0; i < 6; ++i) {
    files[0].path += "~";
    const std::string text = bundle_of(statement(files).dump(), key);
    json root = json::parse(text);
    for (json* each :
         {&root["dsseEnvelope"]["payload"], &root["dsseEnvelope"]["signatures"][0]["sig"]}) {
      std::string written = *each;
      for (char& c : written) c = c == '+' ? '-' : c == '/' ? '_' : c;
      while (written.ends_with('=')) written.pop_back();
      *each = written;
    }
    BOOST_TEST(aiaccel::verify(text, files, trust).model_name == "speech");
    BOOST_TEST(aiaccel::verify(root.dump(), files, trust).model_name == "speech");
  }
}

BOOST_AUTO_TEST_CASE(bundles) {
  refuses_bundle("the bundle is no JSON", "");
  refuses_bundle("the bundle is no JSON", bundle.substr(0, bundle.size() / 2));
  refuses_bundle("the bundle is no JSON", bundle + "{}");
  refuses_bundle("the bundle is no JSON", "\xff\xfe");
  refuses_bundle("the bundle is no object", "[]");
  refuses_bundle("'mediaType' is missing", "{}");
  refuses_bundle("'mediaType' is 'application/vnd.dev.sigstore.bundle.v0.1+json'",
                 changed([](json& root) {
                   root["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.1+json";
                 }));
  refuses_bundle("the bundle says 'mediaType' twice", "{\"mediaType\": \"x\"," + bundle.substr(1));
  refuses_bundle("either a key or certificates",
                 changed([](json& root) { root["verificationMaterial"] = json::object(); }));
  refuses_bundle("either a key or certificates", changed([](json& root) {
                   root["verificationMaterial"]["certificate"] = {{"rawBytes", "aaaa"}};
                 }));
  refuses_bundle("nested too deeply",
                 "{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}");
  refuses_bundle("nested too deeply", std::string(1000000, '['));
  std::string deep;
  for (unsigned i = 0; i < 100000; ++i) deep += "{\"a\":";
  refuses_bundle("nested too deeply", deep);
  refuses_bundle("more than 16777216 bytes", std::string(16777217, ' '));
}

BOOST_AUTO_TEST_CASE(other_keys) {
  const KeyFiles other = make_key(folder, "other");
  refused(ENOKEY, "which is not trusted",
          [&] { aiaccel::verify(bundle, kFiles, trusting(other)); });
  refused(ENOKEY, "which is not trusted", [&] { aiaccel::verify(bundle, kFiles, Trust()); });
  // Without a hint all keys are tried; a wrong hint is none that is trusted.
  const std::string plain =
      changed([](json& root) { root["verificationMaterial"]["publicKey"] = json::object(); });
  BOOST_TEST(aiaccel::verify(plain, kFiles, trust).model_name == "speech");
  refused(ENOKEY, "signed with none of the keys",
          [&] { aiaccel::verify(plain, kFiles, trusting(other)); });
  refused(ENOKEY, "while no key is trusted", [&] { aiaccel::verify(plain, kFiles, Trust()); });
  // The hint of a key that is trusted, the signature of one that is not.
  refuses_bundle("the signature is not one of what it stands beside", changed([&](json& root) {
                   const std::string theirs =
                       aiaccel::sign("speech", kFiles, Signer::from_key(other.key));
                   root["dsseEnvelope"] = json::parse(theirs)["dsseEnvelope"];
                 }));
  Trust both = trusting(other);
  both.add_key(key.pub);
  BOOST_TEST(aiaccel::verify(bundle, kFiles, both).model_name == "speech");
  // Whoever is named has to have signed, not just anybody who is trusted.
  const std::string renamed = changed([&](json& root) {
    root["verificationMaterial"]["publicKey"]["hint"] = Signer::from_key(other.key).key_hint();
  });
  refused(EBADMSG, "the signature is not one of what it stands beside",
          [&] { aiaccel::verify(renamed, kFiles, both); });
}

BOOST_AUTO_TEST_SUITE_END()
