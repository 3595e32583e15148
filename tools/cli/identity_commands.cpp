// signet id new|show|publish|rotate|alias, signet token

#include "messages/envelope/token.hpp"
#include "messages/seams.hpp"
#include "tools/cli/client.hpp"
#include "tools/cli/commands.hpp"

#include <iostream>
#include <nlohmann/json.hpp>

namespace signet::cli {
namespace {

struct identity_flags {
  std::string name, as, client_id, permalink;
  std::string ca;
  bool insecure = false, reusable = false, options = false, permalink_only = false;
  std::uint32_t life_s = 300;
};

nlohmann::json picture(const own_identity& who) {
  nlohmann::json keys = nlohmann::json::array();
  for (const auto& key : who.newest().keys())
    keys.push_back({{"purpose", name(key.purpose)}, {"key", key.key.hex()}});
  return {{"name", who.name}, {"permalink", who.who().hex()}, {"version", who.newest().version()},
          {"link", who.newest().link().hex()}, {"keys", keys}, {"directory", who.directory.string()}};
}

void show(const own_identity& who, const common_flags& flags) {
  if (flags.json) {
    print(picture(who));
    return;
  }
  std::cout << who.name << "  version " << who.newest().version() << "\n  permalink " << who.who().hex() << "\n";
  for (const auto& key : who.newest().keys())
    std::cout << "  " << name(key.purpose) << std::string(9 - name(key.purpose).size(), ' ') << " " << key.key.hex() << "\n";
}

client_options options_from(const identity_flags& flags, const common_flags& common) {
  client_options out;
  out.url = common.node;
  out.trust = {flags.ca, flags.insecure};
  return out;
}

/// What apply has decided for good. Everything else may still happen, or happen later.
std::optional<ec> final_refusal(const std::string& code) {
  for (auto each : {ec::key_collision, ec::bad_signature, ec::revoked_key, ec::wrong_key_purpose, ec::version_conflict,
                    ec::no_possession, ec::malformed, ec::not_canonical, ec::too_large})
    if (name(each) == code)
      return each;
  return std::nullopt;
}

/// Publishes what the node lacks, version by version; the answer's chain tells how far it was.
result<client::identity_answer> publish_missing(client& to, const own_identity& who) {
  if (auto subscribed = to.subscribe({"signet/v1/identity"}); !subscribed)
    return tl::make_unexpected(subscribed.error());
  auto answer = to.lookup(who.who());
  for (std::size_t k = answer ? answer->versions.size() : 0; answer && k < who.versions.size(); ++k) {
    answer = to.publish_identity(who.versions[k]);
    if (answer && answer->code != "ok")
      return fail(final_refusal(answer->code).value_or(ec::unknown_outcome),
                  "the node answers \"" + answer->code + "\" to version " + std::to_string(k + 1) + " of " + who.name);
  }
  return answer;
}

int id_new(const identity_flags& flags, const common_flags& common) {
  auto made = home::find(common.home).make_identity(flags.name);
  if (!made)
    return report(made.error(), common);
  show(*made, common);
  if (!common.json)
    std::cout << "  keys in " << made->directory.string() << " (keep a copy; nobody else has them)\n";
  return exit_good;
}

int id_show(const identity_flags& flags, const common_flags& common) {
  const auto where = home::find(common.home);
  if (flags.name.empty()) {
    for (const auto& each : where.names())
      if (auto who = where.load(each))
        show(*who, common);
    return exit_good;
  }
  if (auto own = where.load(flags.name)) {
    if (flags.permalink_only)
      std::cout << own->who().hex() << "\n";
    else
      show(*own, common);
    return exit_good;
  }
  auto who = where.resolve(flags.name);
  if (!who)
    return report(who.error(), common);
  if (flags.permalink_only) {
    std::cout << who->hex() << "\n";
    return exit_good;
  }
  // Somebody else: ask the node, as one of our own identities.
  auto chain = where.load_chain(*who);
  const auto names = where.names();
  if (!names.empty())
    if (auto me = where.load(names.front()))
      if (auto to = client::connect(where, *me, options_from(flags, common)); to && (*to)->subscribe({"signet/v1/identity"})) {
        if (auto answer = (*to)->lookup(*who); answer && answer->code == "ok") {
          if (auto saved = where.save_contact(*who, answer->versions); !saved)
            return report(saved.error(), common);
          chain = where.load_chain(*who);
        }
        (*to)->leave();
      }
  if (!chain)
    return report(chain.error(), common);
  show(own_identity{flags.name, where.directory() / "contacts" / who->hex(), std::move(*chain)}, common);
  return exit_good;
}

int id_publish(const identity_flags& flags, const common_flags& common) {
  const auto where = home::find(common.home);
  auto who = where.load(flags.name);
  if (!who)
    return report(who.error(), common);
  auto to = client::connect(where, *who, options_from(flags, common));
  if (!to)
    return report(to.error(), common);
  auto answer = publish_missing(**to, *who);
  (*to)->leave();
  if (!answer)
    return report(answer.error(), common);
  if (common.json)
    print({{"published", true}, {"permalink", who->who().hex()}, {"version", who->newest().version()}, {"index", value(answer->index)}});
  else
    std::cout << who->name << " is published: version " << who->newest().version() << " at log index " << value(answer->index) << "\n";
  return exit_good;
}

int id_rotate(const identity_flags& flags, const common_flags& common) {
  const auto where = home::find(common.home);
  auto old = where.load(flags.name);
  if (!old)
    return report(old.error(), common);
  // Logged in with the old key: the new one is not known yet.
  auto to = client::connect(where, *old, options_from(flags, common));
  if (!to)
    return report(to.error(), common);
  auto next = where.rotate(*old);
  if (!next)
    return report(next.error(), common);
  auto answer = publish_missing(**to, *next);
  (*to)->leave();
  if (!answer) {
    // Refused for good: the new version is worth nothing. Anything else: it may stand, so its keys are kept.
    if (final_refusal(std::string(name(answer.error().code))))
      (void)where.forget_newest(*next);
    else
      std::cerr << "signet: the outcome is not known; the new keys are kept. Finish with: signet id publish " << next->name << "\n";
    return report(answer.error(), common);
  }
  show(*next, common);
  if (auto key = where.load_key(*old, key_purpose::sign))
    if (const auto waiting = where.count_waiting(*old, key->public_half()); waiting > 0)
      std::cerr << "signet: " << waiting << " messages were signed with the old key and their receipts not seen here; what the node has not "
                << "accepted is not sent again\n";
  if (!common.json)
    std::cout << "  the keys of version " << old->newest().version() << " are revoked from log index " << value(answer->index) << " on\n";
  return exit_good;
}

int token(const identity_flags& flags, const common_flags& common) {
  const auto where = home::find(common.home);
  auto who = where.load(flags.as);
  if (!who)
    return report(who.error(), common);
  auto key = where.load_key(*who, key_purpose::sign);
  if (!key)
    return report(key.error(), common);
  // A token names the cluster; and a stock client cannot hand its identity in, so it is published here if need be.
  auto pin = where.find_pin(common.node);
  if (!pin || !std::filesystem::exists(who->directory / ("known-" + pin->cluster.hex()))) {
    auto to = client::connect(where, *who, options_from(flags, common));
    if (!to)
      return report(to.error(), common);
    (*to)->leave();
    pin = where.find_pin(common.node);
  }
  token_claims claims;
  claims.reusable = flags.reusable;
  claims.cluster = pin->cluster;
  claims.device_key = key->public_half();
  claims.issued_at = system_clock().wall();
  claims.life_s = flags.life_s;
  claims.nonce = random_id<token_nonce>(system_random());
  // Drawn, so that a publisher does not take over the subscriber that runs beside it.
  claims.client_id = !flags.client_id.empty() ? flags.client_id
                                              : who->name + "-" + random_id<token_nonce>(system_random()).hex().substr(0, 8);
  auto made = make_token(*key, who->who(), claims);
  if (!made)
    return report({ec::configuration, made.error().context}, common);
  if (common.json)
    print({{"user", who->who().hex()}, {"password", *made}, {"client_id", claims.client_id}, {"life_s", claims.life_s},
           {"reusable", claims.reusable}});
  else if (flags.options)
    std::cout << "-i " << claims.client_id << " -u " << who->who().hex() << " -P " << *made << "\n";
  else
    std::cout << *made << "\n";
  return exit_good;
}

} // namespace

void add_identity_commands(CLI::App& app, invocation& call) {
  auto flags = std::make_shared<identity_flags>();
  auto trust = [flags](CLI::App& command) {
    command.add_option("--ca", flags->ca, "PEM file of the authority that signed the node's certificate")->option_text("FILE");
    command.add_flag("--insecure", flags->insecure, "accept any TLS certificate; the node still proves its own key");
  };
  auto* id = app.add_subcommand("id", "identities of yours: new, show, publish, rotate, alias");
  id->require_subcommand(1);

  auto* made = id->add_subcommand("new", "make keys and a first version; nothing leaves this machine");
  made->add_option("NAME", flags->name, "what you call it here")->required();
  add_home(*made, call);
  add_json(*made, call);
  example(*made, "signet id new alice");
  made->callback([flags, &call] { call.code = id_new(*flags, call.flags); });

  auto* shown = id->add_subcommand("show", "show an identity; somebody else's is fetched from the node and checked");
  shown->add_option("NAME", flags->name, "a name here, or a permalink; without: all of yours");
  shown->add_flag("--permalink", flags->permalink_only, "print only the permalink");
  add_home(*shown, call);
  add_node(*shown, call);
  trust(*shown);
  add_json(*shown, call);
  example(*shown, "signet id show alice --permalink");
  shown->callback([flags, &call] { call.code = id_show(*flags, call.flags); });

  auto* published = id->add_subcommand("publish", "publish an identity to a node; again is harmless");
  published->add_option("NAME", flags->name, "a name here")->required();
  add_home(*published, call);
  add_node(*published, call);
  trust(*published);
  add_json(*published, call);
  example(*published, "signet id publish alice --node mqtt://127.0.0.1:1883");
  published->callback([flags, &call] { call.code = id_publish(*flags, call.flags); });

  auto* rotated = id->add_subcommand("rotate", "new keys: the next version, signed by the old update key; old keys are revoked");
  rotated->add_option("NAME", flags->name, "a name here")->required();
  add_home(*rotated, call);
  add_node(*rotated, call);
  trust(*rotated);
  add_json(*rotated, call);
  example(*rotated, "signet id rotate alice");
  rotated->callback([flags, &call] { call.code = id_rotate(*flags, call.flags); });

  auto* alias = id->add_subcommand("alias", "call somebody else's permalink by a name, for --to");
  alias->add_option("NAME", flags->name, "what you call them here")->required();
  alias->add_option("PERMALINK", flags->permalink, "64 hexadecimal digits")->required();
  add_home(*alias, call);
  example(*alias, "signet id alias bob 3b1f…");
  alias->callback([flags, &call] {
    auto who = permalink::parse(flags->permalink);
    auto set = who ? home::find(call.flags.home).set_alias(flags->name, *who)
                   : status(fail(ec::configuration, "\"" + flags->permalink + "\" is no permalink (64 hexadecimal digits)"));
    call.code = set ? exit_good : report(set.error(), call.flags);
  });

  auto* tokens = app.add_subcommand("token", "a connect token, the password of a stock MQTT client (its user name is the permalink)");
  tokens->add_option("--as", flags->as, "which identity of yours")->required()->option_text("NAME");
  tokens->add_option("--client-id", flags->client_id, "the client identifier it is bound to; else one is drawn")->option_text("ID");
  tokens->add_option("--life", flags->life_s, "seconds: at most 300, reusable at most 43200")->capture_default_str()->option_text("S");
  tokens->add_flag("--reusable", flags->reusable, "for clients that reconnect by themselves; only over TLS or loopback");
  tokens->add_flag("--options", flags->options, "print -i, -u and -P for mosquitto_pub and mosquitto_sub");
  add_home(*tokens, call);
  add_node(*tokens, call);
  trust(*tokens);
  add_json(*tokens, call);
  example(*tokens, "mosquitto_sub $(signet token --as bob --options) -t signet/v1/inbox -q 1");
  tokens->callback([flags, &call] { call.code = token(*flags, call.flags); });
}

} // namespace signet::cli
