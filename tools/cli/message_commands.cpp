// signet send, inbox, encode, decode: their flags.

#include "tools/cli/commands.hpp"
#include "tools/cli/messages.hpp"

namespace signet::cli {

void add_message_commands(CLI::App& app, invocation& call) {
  auto flags = std::make_shared<message_flags>();
  auto sender = [flags](CLI::App& command) {
    command.add_option("--as", flags->as, "which identity of yours")->required()->option_text("NAME");
    command.add_option("--to", flags->to, "recipient: a name or a permalink")->required()->option_text("WHO");
    command.add_option("TEXT", flags->text, "the text; '-' reads it from standard input");
    command.add_flag("--lines", flags->lines, "one message for each line of standard input");
    command.add_option("--count", flags->count, "so many times")->capture_default_str()->option_text("N");
    command.add_option("--type", flags->type, "type of the object")->capture_default_str()->option_text("TYPE");
    command.add_option("--content-type", flags->content_type, "media type of the body")->option_text("TYPE");
    command.add_option("--reply-to", flags->reply_to, "link of the message that this one answers")->option_text("LINK");
  };
  auto network = [flags](CLI::App& command) {
    command.add_option("--client-id", flags->client_id, "MQTT client identifier; else one is drawn")->option_text("ID");
    command.add_option("--ca", flags->ca, "PEM file of the authority that signed the node's certificate")->option_text("FILE");
    command.add_flag("--insecure", flags->insecure, "accept any TLS certificate; the node still proves its own key");
    command.add_option("--patience", flags->patience_s, "seconds to wait for an answer")->capture_default_str()->option_text("S");
  };

  auto* sent = app.add_subcommand("send", "sign and send; waits for the receipt, which means: durable and in order");
  sender(*sent);
  network(*sent);
  add_home(*sent, call);
  add_node(*sent, call);
  add_json(*sent, call);
  example(*sent, "signet send --as alice --to bob \"hello\"");
  sent->callback([flags, &call] { call.code = send(*flags, call.flags); });

  auto* read = app.add_subcommand("inbox", "print what has come since last time, checked, and acknowledge it");
  read->add_option("--as", flags->as, "which identity of yours")->required()->option_text("NAME");
  read->add_flag("--follow,-f", flags->follow, "go on waiting for more");
  read->add_option("--limit", flags->limit, "stop after so many messages; 0: all")->capture_default_str()->option_text("N");
  read->add_option("--from", flags->from, "again from this position on")->option_text("POSITION");
  read->add_option("--wait", flags->wait_s, "seconds without news after which it ends")->capture_default_str()->option_text("S");
  network(*read);
  add_home(*read, call);
  add_node(*read, call);
  add_json(*read, call);
  example(*read, "signet inbox --as bob --follow --json");
  read->callback([flags, &call] { call.code = inbox(*flags, call.flags); });

  auto* encoded = app.add_subcommand("encode", "a signed batch on standard output, for mosquitto_pub -s");
  sender(*encoded);
  network(*encoded);
  add_home(*encoded, call);
  add_node(*encoded, call);
  example(*encoded, "signet encode --as alice --to bob \"hello\" | mosquitto_pub $(signet token --as alice --options) -q 1 -t signet/v1/outbox -s");
  encoded->callback([flags, &call] { call.code = encode(*flags, call.flags); });

  auto* decoded = app.add_subcommand("decode", "print deliveries, receipts and notices from standard input, checked");
  decoded->add_flag("--hex", flags->hex, "input is hexadecimal, as from mosquitto_sub -F %x");
  add_home(*decoded, call);
  add_json(*decoded, call);
  example(*decoded, "mosquitto_sub $(signet token --as bob --options) -q 1 -t signet/v1/inbox | signet decode");
  decoded->callback([flags, &call] { call.code = decode(*flags, call.flags); });
}

} // namespace signet::cli
