#include "tools/cli/bench_load.hpp"

#include "messages/envelope/delivery.hpp"
#include "tools/cli/bench_link.hpp"

#include <chrono>
#include <cstring>
#include <deque>
#include <fstream>
#include <memory>
#include <netdb.h>
#include <sstream>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace signet::cli {
namespace {

using nanoseconds = std::uint64_t;
constexpr nanoseconds second = 1'000'000'000;
constexpr std::uint64_t timer_tag = ~std::uint64_t{0};
constexpr std::size_t stamp_size = 24;
constexpr std::size_t queued_bytes_max = 1 << 20;

nanoseconds steady_now() {
  return static_cast<nanoseconds>(
    std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
}

double cpu_seconds_of_self() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto of = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return of(used.ru_utime) + of(used.ru_stime);
}

/// User and system time of another process; 0 if it cannot be read.
double cpu_seconds_of(int pid) {
  if (pid == 0)
    return 0;
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos)
    return 0;
  std::istringstream fields(text.substr(end_of_name + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i)
    fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

/// Memory of its own that a process holds in RAM: anonymous pages, without the file that LMDB maps.
std::uint64_t anonymous_bytes_of(int pid) {
  if (pid == 0)
    return 0;
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("RssAnon:", 0) == 0)
      return std::stoull(line.substr(8)) * 1024;
  return 0;
}

/// Publisher, sequence and due time at the head of each message. Due 0: signed in advance, so not known then.
struct stamp {
  std::uint64_t publisher = 0, sequence = 0;
  nanoseconds due = 0;
};
void write(bytes& to, const stamp& what) {
  std::memcpy(to.data(), &what.publisher, 8);
  std::memcpy(to.data() + 8, &what.sequence, 8);
  std::memcpy(to.data() + 16, &what.due, 8);
}
std::optional<stamp> read_stamp(bytes_view from) {
  if (from.size() < stamp_size)
    return std::nullopt;
  stamp out;
  std::memcpy(&out.publisher, from.data(), 8);
  std::memcpy(&out.sequence, from.data() + 8, 8);
  std::memcpy(&out.due, from.data() + 16, 8);
  return out;
}

struct publisher {
  std::size_t index = 0;
  std::unique_ptr<bench_link> link;
  std::unique_ptr<bench_identity> identity;
  std::vector<std::size_t> readers;
  std::vector<std::pair<permalink, lane_tail>> tails;
  std::string topic;
  std::uint64_t made = 0;         ///< messages; the sequence of the next one
  std::uint64_t publishes = 0;    ///< number of the next publish
  std::uint64_t acked = 0;        ///< messages
  struct flight {
    nanoseconds due = 0;
    std::uint32_t messages = 0;
    bool done = false;
  };
  std::deque<flight> flights;     ///< of publishes [publishes - flights.size(), publishes)
  std::size_t in_flight = 0;
  std::vector<bool> acked_messages;
  std::vector<bytes> presigned;   ///< by publish
  std::vector<nanoseconds> dues;  ///< by publish; only with presign
  bytes content;
  bool dirty = false;
};

struct reader {
  std::size_t index = 0, publisher = 0;
  std::unique_ptr<bench_link> link;
  std::unique_ptr<bench_identity> identity;
  arrival_ledger ledger;
  inbox_position last_position{};
  lane_tail tail;
  bool dirty = false;
};

class load {
public:
  explicit load(const load_plan& plan) : plan_{plan} {}
  ~load() {
    if (timer_ >= 0)
      ::close(timer_);
    if (epoll_ >= 0)
      ::close(epoll_);
  }

  result<load_report> run();

private:
  bool signet() const { return plan_.target == load_plan::target_kind::signet; }
  status prepare();
  result<std::unique_ptr<bench_identity>> identity() const;
  status attach();
  status presign();
  void measure();
  void drain();
  void judge();

  void poll(nanoseconds until);
  void set_timer(nanoseconds at);
  void fill(publisher& from, nanoseconds now);
  bool publish_next(publisher& from, nanoseconds now);
  result<bytes> make_batch_of(publisher& from, std::uint64_t first, std::uint32_t count, nanoseconds due);
  nanoseconds due_of(const publisher& from, std::uint64_t sequence) const;
  std::uint64_t unsent_by(const publisher& from) const;
  bool may_make(const publisher& from) const { return plan_.messages == 0 ? sending_ : from.made < plan_.messages; }

  void acknowledged(publisher& by, const mqtt::puback& said);
  void delivered(reader& to, mqtt::publish& what);
  void take_plain(reader& to, bytes_view payload, nanoseconds now);
  void take_delivery(reader& to, bytes_view payload, nanoseconds now);
  void arrived(reader& to, const stamp& what, nanoseconds now);
  void wrong(const std::string& what) {
    ++report_.unverified;
    note(what);
  }
  void note(const std::string& what) {
    if (report_.first_problem.empty())
      report_.first_problem = what;
  }
  bool measured(nanoseconds due) const { return due >= measure_from_ && due < measure_to_; }
  void say(const std::string& what) const {
    if (plan_.progress)
      plan_.progress(what);
  }

  const load_plan& plan_;
  load_report report_;
  sockaddr_storage address_{};
  socklen_t address_size_ = 0;
  std::string run_id_;
  cluster_id cluster_;
  std::vector<publisher> publishers_;
  std::vector<reader> readers_;
  std::vector<std::unique_ptr<bench_identity>> idle_identities_;
  std::vector<std::unique_ptr<bench_link>> idle_links_;
  std::vector<bench_link*> all_;   ///< index is the epoll tag
  std::vector<publisher*> dirty_publishers_;
  std::vector<reader*> dirty_readers_;
  int epoll_ = -1, timer_ = -1;
  bool running_ = false, sending_ = false;
  nanoseconds begin_ = 0;          ///< of the schedule
  nanoseconds measure_from_ = 0, measure_to_ = ~nanoseconds{0}, last_arrival_ = 0;
  std::uint64_t sent_in_ = 0, acked_in_ = 0, received_in_ = 0;  ///< within the measured time
};

result<std::unique_ptr<bench_identity>> load::identity() const {
  auto made = bench_identity::make();
  if (!made)
    return tl::make_unexpected(made.error());
  return std::make_unique<bench_identity>(std::move(*made));
}

status load::prepare() {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (const int why = ::getaddrinfo(plan_.host.c_str(), std::to_string(plan_.port).c_str(), &hints, &found); why != 0)
    return fail(ec::io, "cannot find host " + plan_.host + ": " + ::gai_strerror(why));
  std::memcpy(&address_, found->ai_addr, found->ai_addrlen);
  address_size_ = found->ai_addrlen;
  ::freeaddrinfo(found);

  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);

  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (epoll_ < 0 || timer_ < 0)
    return fail(ec::io, std::string("epoll: ") + std::strerror(errno));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = timer_tag;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, timer_, &event);

  run_id_ = random_id<token_nonce>(system_random()).hex().substr(0, 8);
  bench_link_options options;
  options.address = address_;
  options.address_size = address_size_;
  options.version = plan_.v311 ? mqtt::protocol_version::v311 : mqtt::protocol_version::v5;
  // A plain broker may push as much as it likes; Signet's own limit is 32.
  options.receive_maximum = signet() ? 32 : 65'535;

  if (plan_.idle > 0) {
    for (std::uint32_t i = 0; i < plan_.idle; ++i) {
      auto own = options;
      own.client_id = "idle-" + run_id_ + "-" + std::to_string(i);
      own.filter = "signet-bench/" + run_id_ + "/idle/" + std::to_string(i);
      if (signet()) {
        auto made = identity();
        if (!made)
          return tl::make_unexpected(made.error());
        idle_identities_.push_back(std::move(*made));
        own.identity = idle_identities_.back().get();
        own.filter = "signet/v1/inbox";
      }
      idle_links_.push_back(std::make_unique<bench_link>(own, [](mqtt::packet&) {}));
      all_.push_back(idle_links_.back().get());
    }
    return {};
  }
  publishers_.resize(plan_.pairs);
  readers_.resize(std::size_t{plan_.pairs} * plan_.fan_out);
  for (std::size_t i = 0; i < readers_.size(); ++i) {
    auto& one = readers_[i];
    one.index = i;
    one.publisher = i / plan_.fan_out;
    auto own = options;
    own.client_id = "reader-" + run_id_ + "-" + std::to_string(i);
    own.filter = signet() ? "signet/v1/inbox" : "signet-bench/" + run_id_ + "/" + std::to_string(one.publisher);
    if (signet()) {
      auto made = identity();
      if (!made)
        return tl::make_unexpected(made.error());
      one.identity = std::move(*made);
      own.identity = one.identity.get();
    }
    one.link = std::make_unique<bench_link>(own, [this, &one](mqtt::packet& what) {
      if (auto* message = std::get_if<mqtt::publish>(&what))
        delivered(one, *message);
    });
    all_.push_back(one.link.get());
  }
  for (std::size_t i = 0; i < publishers_.size(); ++i) {
    auto& one = publishers_[i];
    one.index = i;
    one.topic = signet() ? "signet/v1/outbox" : "signet-bench/" + run_id_ + "/" + std::to_string(i);
    one.content.assign(plan_.size_bytes, 0x5A);
    auto own = options;
    own.client_id = "publisher-" + run_id_ + "-" + std::to_string(i);
    if (signet()) {
      auto made = identity();
      if (!made)
        return tl::make_unexpected(made.error());
      one.identity = std::move(*made);
      own.identity = one.identity.get();
    }
    for (std::size_t r = i * plan_.fan_out; r < (i + 1) * plan_.fan_out; ++r) {
      one.readers.push_back(r);
      if (signet())
        one.tails.emplace_back(readers_[r].identity->who(), lane_tail{});
    }
    one.link = std::make_unique<bench_link>(own, [this, &one](mqtt::packet& what) {
      if (auto* said = std::get_if<mqtt::puback>(&what))
        acknowledged(one, *said);
    });
    all_.push_back(one.link.get());
  }
  return {};
}

/// Opens connections, a few at a time. Who is refused because of a limit on logins tries again later.
status load::attach() {
  const auto begin = steady_now();
  report_.node_rss_before = anonymous_bytes_of(plan_.pid);
  std::vector<std::size_t> waiting(all_.size());
  for (std::size_t i = 0; i < all_.size(); ++i)
    waiting[i] = all_.size() - 1 - i;
  std::vector<std::size_t> under_way;
  nanoseconds not_before = 0, last_progress = begin;
  std::string last_refusal;
  while (!waiting.empty() || !under_way.empty()) {
    auto now = steady_now();
    while (!waiting.empty() && under_way.size() < plan_.logins_max && now >= not_before) {
      if (auto opened = all_[waiting.back()]->open(epoll_, waiting.back()); !opened)
        return opened;
      under_way.push_back(waiting.back());
      waiting.pop_back();
    }
    poll(now + second / 20);
    now = steady_now();
    for (std::size_t i = 0; i < under_way.size();) {
      auto& link = *all_[under_way[i]];
      if (link.at() == bench_link::stage::ready) {
        ++report_.attached;
        last_progress = now;
      } else if (link.at() == bench_link::stage::closed) {
        if (!link.refused_for_now())
          return fail(ec::io, link.problem());
        last_refusal = link.problem();
        waiting.push_back(under_way[i]);
        not_before = now + second / 5;
      } else {
        ++i;
        continue;
      }
      under_way[i] = under_way.back();
      under_way.pop_back();
    }
    if (static_cast<double>(now - last_progress) > plan_.patience_s * 1e9)
      return fail(ec::not_authorized, last_refusal.empty() ? "the logins do not get anywhere" : last_refusal);
  }
  report_.attach_s = static_cast<double>(steady_now() - begin) / 1e9;
  if (!all_.empty())
    cluster_ = all_.front()->cluster();
  return {};
}

result<bytes> load::make_batch_of(publisher& from, std::uint64_t first, std::uint32_t count, nanoseconds due) {
  std::vector<built_message> messages;
  messages.reserve(std::size_t{count} * from.readers.size());
  message_draft draft;
  draft.cluster = cluster_;
  draft.author = from.identity->who();
  draft.time = system_clock().wall();
  draft.type = "bench";
  draft.body = std::move(from.content);
  status good;
  for (std::uint64_t sequence = first; sequence < first + count && good; ++sequence) {
    write(draft.body, {from.index, sequence, due});
    for (auto& [recipient, tail] : from.tails) {
      draft.recipient = recipient;
      auto made = make_message(draft, tail);
      if (!made) {
        good = tl::make_unexpected(made.error());
        break;
      }
      messages.push_back(std::move(*made));
    }
  }
  from.content = std::move(draft.body);
  if (!good)
    return tl::make_unexpected(good.error());
  auto batch = make_batch(from.identity->key, messages);
  if (!batch)
    return tl::make_unexpected(batch.error());
  return std::move(batch->serialised);
}

status load::presign() {
  const auto begin = steady_now();
  for (auto& one : publishers_)
    for (std::uint64_t first = 0; first < plan_.messages; first += plan_.batch) {
      const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(plan_.batch, plan_.messages - first));
      auto made = make_batch_of(one, first, count, 0);
      if (!made)
        return tl::make_unexpected(made.error());
      one.presigned.push_back(std::move(*made));
    }
  report_.presign_s = static_cast<double>(steady_now() - begin) / 1e9;
  return {};
}

/// The messages of a batch fall due together; publishers take turns.
nanoseconds load::due_of(const publisher& from, std::uint64_t sequence) const {
  const auto unit = sequence / plan_.batch * plan_.pairs + from.index;
  return begin_ + static_cast<nanoseconds>(static_cast<double>(unit) * plan_.batch / plan_.rate * 1e9);
}

/// What fell due before the end of the measured time and was not sent.
std::uint64_t load::unsent_by(const publisher& from) const {
  const auto units = static_cast<std::uint64_t>(static_cast<double>(measure_to_ - begin_) / 1e9 * plan_.rate / plan_.batch);
  const auto own = units > from.index ? (units - from.index + plan_.pairs - 1) / plan_.pairs : 0;
  return own * plan_.batch > from.made ? own * plan_.batch - from.made : 0;
}

bool load::publish_next(publisher& from, nanoseconds now) {
  if (from.in_flight >= plan_.window || from.link->queued_bytes() > queued_bytes_max || !may_make(from) ||
      from.link->at() != bench_link::stage::ready)
    return false;
  nanoseconds due = now;
  if (plan_.rate > 0 && (due = due_of(from, from.made)) > now)
    return false;
  std::uint32_t count = 1;
  mqtt::publish head;
  head.quality = mqtt::qos::at_least_once;
  head.topic = from.topic;
  head.id = static_cast<mqtt::packet_id>(1 + from.publishes % 65'535);
  if (signet()) {
    count = plan_.messages == 0 ? plan_.batch
                                : static_cast<std::uint32_t>(std::min<std::uint64_t>(plan_.batch, plan_.messages - from.made));
    if (plan_.presign) {
      from.dues.push_back(due);
      auto batch = std::move(from.presigned[from.publishes]);
      from.link->queue_publish(head, batch);
    } else {
      auto batch = make_batch_of(from, from.made, count, due);
      if (!batch) {
        note("cannot sign: " + batch.error().context);
        from.link->close();
        return false;
      }
      from.link->queue_publish(head, *batch);
    }
  } else {
    write(from.content, {from.index, from.made, due});
    from.link->queue_publish(head, from.content);
  }
  from.made += count;
  from.flights.push_back({due, count, false});
  ++from.publishes;
  ++from.in_flight;
  report_.sent += count;
  if (measured(now))
    sent_in_ += count;
  return true;
}

void load::fill(publisher& from, nanoseconds now) {
  bool any = false;
  // A bounded number at a time: signing for one publisher must not starve the readers.
  for (std::uint32_t n = 0; n < std::max<std::uint32_t>(4, signet() ? 4 : 2 * plan_.batch) && publish_next(from, now); ++n)
    any = true;
  if (any)
    from.link->flush();
}

void load::acknowledged(publisher& by, const mqtt::puback& said) {
  const auto first = by.publishes - by.flights.size();
  const auto first_id = static_cast<std::uint32_t>(1 + first % 65'535);
  const auto at = (said.id + 65'535U - first_id) % 65'535U;
  if (said.id == 0 || at >= by.flights.size() || by.flights[at].done)
    return wrong("a PUBACK for nothing that is in flight");
  auto& flight = by.flights[at];
  flight.done = true;
  --by.in_flight;
  const auto now = steady_now();
  if (mqtt::is_refusal(said.code)) {
    ++report_.refused;
    note("a publish was refused: " + std::string(mqtt::name(said.code)));
  } else {
    by.acked += flight.messages;
    report_.acked += flight.messages;
    if (measured(now))
      acked_in_ += flight.messages;
    if (measured(flight.due))
      report_.ack.add(now - flight.due);
    // Sequences are dense over publishes: all have plan_.batch messages (Signet) or one, except the last.
    const auto step = signet() ? std::uint64_t{plan_.batch} : 1;
    const auto begin = (first + at) * step;
    if (by.acked_messages.size() < begin + flight.messages)
      by.acked_messages.resize(static_cast<std::size_t>(begin + flight.messages), false);
    for (auto s = begin; s < begin + flight.messages; ++s)
      by.acked_messages[s] = true;
  }
  while (!by.flights.empty() && by.flights.front().done)
    by.flights.pop_front();
  if (!by.dirty) {
    by.dirty = true;
    dirty_publishers_.push_back(&by);
  }
}

void load::delivered(reader& to, mqtt::publish& what) {
  const auto now = steady_now();
  if (what.quality != mqtt::qos::at_most_once)
    to.link->queue_puback(what.id);
  if (!to.dirty) {
    to.dirty = true;
    dirty_readers_.push_back(&to);
  }
  if (signet())
    take_delivery(to, what.payload, now);
  else
    take_plain(to, what.payload, now);
}

void load::take_plain(reader& to, bytes_view payload, nanoseconds now) {
  auto what = read_stamp(payload);
  if (!what || payload.size() != plan_.size_bytes || what->publisher != to.publisher)
    return wrong("a message that nobody sent to this reader");
  arrived(to, *what, now);
}

void load::take_delivery(reader& to, bytes_view payload, nanoseconds now) {
  auto items = open_delivery(payload);
  if (!items)
    return wrong("a delivery that cannot be read: " + items.error().context);
  const auto& from = publishers_[to.publisher];
  for (const auto& item : *items) {
    const auto* bundle = std::get_if<unverified_bundle>(&item);
    if (!bundle) {
      wrong("a reference where a message belongs");
      continue;
    }
    auto messages = verify_bundle(*bundle);
    if (!messages) {
      wrong("a bundle that does not verify: " + messages.error().context);
      continue;
    }
    for (const auto& message : *messages) {
      auto object = read_object(message.body);
      auto what = object ? read_stamp(object->body) : std::nullopt;
      if (!what || object->body.size() != plan_.size_bytes || what->publisher != to.publisher) {
        wrong("a message that nobody sent to this reader");
        continue;
      }
      const bool new_here = !to.ledger.has(what->sequence);
      if (message.signer != from.identity->key.public_half() || message.header.author != from.identity->who() ||
          message.header.recipient != to.identity->who() || message.header.cluster != cluster_ ||
          value(message.header.n) != what->sequence + 1)
        wrong("a message with the wrong signer, author, recipient or number");
      if (new_here) {
        if (message.header.n != next(to.tail.n) || message.header.previous != to.tail.link)
          wrong("a break in a lane at n " + to_string(message.header.n));
        if (message.position != next(to.last_position))
          wrong("a break in an inbox at position " + to_string(message.position));
        to.tail = {message.header.n, message.link};
        to.last_position = message.position;
      }
      if (what->due == 0 && plan_.presign)
        what->due = from.dues[what->sequence / plan_.batch];
      arrived(to, *what, now);
    }
  }
}

void load::arrived(reader& to, const stamp& what, nanoseconds now) {
  if (to.ledger.arrived(what.sequence) == arrival_ledger::verdict::duplicate)
    return;
  ++report_.received;
  last_arrival_ = now;
  if (measured(now))
    ++received_in_;
  if (measured(what.due))
    report_.end_to_end.add(now - what.due);
}

void load::set_timer(nanoseconds at) {
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(at / second);
  when.it_value.tv_nsec = static_cast<long>(at % second);
  ::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
}

/// One round of the loop: waits for the sockets, at most until then, and lets everybody go on.
void load::poll(nanoseconds until) {
  set_timer(until);
  epoll_event events[256];
  const int count = ::epoll_wait(epoll_, events, 256, -1);
  for (int i = 0; i < count; ++i) {
    if (events[i].data.u64 == timer_tag) {
      std::uint64_t expirations = 0;
      if (::read(timer_, &expirations, sizeof expirations) < 0 && errno != EAGAIN)
        note("the timer fails");
      continue;
    }
    auto& link = *all_[events[i].data.u64];
    const bool was_up = link.at() == bench_link::stage::ready;
    link.ready_for(events[i].events);
    if (was_up && link.at() == bench_link::stage::closed) {
      ++report_.closed;
      note(link.problem());
    }
  }
  for (auto* one : dirty_readers_) {
    one->dirty = false;
    one->link->flush();
  }
  dirty_readers_.clear();
  if (!running_)
    return;
  dirty_publishers_.clear();
  const auto now = steady_now();
  for (auto& one : publishers_) {
    one.dirty = false;
    fill(one, now);
  }
}

void load::measure() {
  running_ = sending_ = true;
  begin_ = steady_now();
  double cpu = cpu_seconds_of_self(), node_cpu = cpu_seconds_of(plan_.pid);
  const auto next_wake = [this](nanoseconds now, nanoseconds end) {
    if (plan_.rate <= 0) {
      // A bounded fill() may have left room in a window: look again at once.
      for (const auto& one : publishers_)
        if (one.in_flight < plan_.window && may_make(one) && one.link->queued_bytes() <= queued_bytes_max &&
            one.link->at() == bench_link::stage::ready)
          return now;
      return std::min(end, now + second / 10);
    }
    auto first = std::min(end, now + second / 10);
    for (const auto& one : publishers_)
      if (one.in_flight < plan_.window && may_make(one))
        first = std::min(first, due_of(one, one.made));
    return first;
  };
  if (plan_.messages > 0) {
    measure_from_ = begin_;
    const auto all_sent = [this] {
      for (const auto& one : publishers_)
        if (one.link->at() == bench_link::stage::ready && (one.made < plan_.messages || one.in_flight > 0))
          return false;
      return true;
    };
    auto last_move = begin_;
    std::uint64_t before = 0;
    while (!all_sent()) {
      const auto now = steady_now();
      if (report_.acked != before)
        before = report_.acked, last_move = now;
      if (static_cast<double>(now - last_move) > plan_.patience_s * 1e9)
        break;
      poll(std::max(next_wake(now, now + second), now));
    }
  } else {
    measure_from_ = begin_ + static_cast<nanoseconds>(plan_.warmup_s * 1e9);
    measure_to_ = measure_from_ + static_cast<nanoseconds>(plan_.seconds * 1e9);
    bool warm = false;
    for (auto now = begin_; now < measure_to_; now = steady_now()) {
      if (!warm && now >= measure_from_) {
        warm = true;
        cpu = cpu_seconds_of_self();
        node_cpu = cpu_seconds_of(plan_.pid);
      }
      poll(next_wake(now, warm ? measure_to_ : measure_from_));
    }
    report_.own_cpu_s = cpu_seconds_of_self() - cpu;
    report_.node_cpu_s = cpu_seconds_of(plan_.pid) - node_cpu;
  }
  sending_ = false;
  drain();
  if (plan_.messages > 0) {
    measure_to_ = std::max(last_arrival_, begin_ + 1);
    report_.own_cpu_s = cpu_seconds_of_self() - cpu;
    report_.node_cpu_s = cpu_seconds_of(plan_.pid) - node_cpu;
  }
  if (plan_.rate > 0 && plan_.messages == 0)
    for (const auto& one : publishers_)
      report_.unsent += unsent_by(one);
  report_.seconds = static_cast<double>(measure_to_ - measure_from_) / 1e9;
  report_.sent_per_s = static_cast<double>(sent_in_) / report_.seconds;
  report_.acked_per_s = static_cast<double>(acked_in_) / report_.seconds;
  report_.received_per_s = static_cast<double>(received_in_) / report_.seconds;
}

/// Waits until everything that was sent is acknowledged and has arrived, as long as something still moves.
void load::drain() {
  auto last_move = steady_now();
  std::uint64_t acked = report_.acked, received = report_.received;
  for (;;) {
    bool whole = true;
    for (const auto& one : publishers_)
      whole = whole && one.in_flight == 0;
    whole = whole && report_.received >= report_.acked * plan_.fan_out;
    const auto now = steady_now();
    if (report_.acked != acked || report_.received != received) {
      acked = report_.acked;
      received = report_.received;
      last_move = now;
    }
    if (whole || static_cast<double>(now - last_move) > plan_.patience_s * 1e9)
      break;
    poll(now + second / 20);
  }
  // What comes twice comes late.
  for (const auto until = steady_now() + second / 5; steady_now() < until;)
    poll(until);
}

void load::judge() {
  for (const auto& from : publishers_) {
    for (const auto& flight : from.flights)
      report_.unacked += flight.done ? 0 : flight.messages;
    for (auto r : from.readers)
      for (std::uint64_t s = 0; s < from.acked_messages.size(); ++s)
        if (from.acked_messages[s] && !readers_[r].ledger.has(s))
          ++report_.missing;
  }
  for (const auto& to : readers_) {
    report_.duplicates += to.ledger.duplicates();
    report_.reordered += to.ledger.reordered();
  }
}

result<load_report> load::run() {
  if (auto ready = prepare(); !ready)
    return tl::make_unexpected(ready.error());
  say("attaching " + std::to_string(all_.size()) + " sessions");
  if (auto attached = attach(); !attached)
    return tl::make_unexpected(attached.error());
  if (plan_.idle > 0) {
    // What a login needs for a moment is given back first.
    const auto from = steady_now();
    const auto cpu = cpu_seconds_of_self(), node_cpu = cpu_seconds_of(plan_.pid);
    while (static_cast<double>(steady_now() - from) < plan_.seconds * 1e9)
      poll(steady_now() + second / 10);
    report_.seconds = static_cast<double>(steady_now() - from) / 1e9;
    report_.own_cpu_s = cpu_seconds_of_self() - cpu;
    report_.node_cpu_s = cpu_seconds_of(plan_.pid) - node_cpu;
    report_.node_rss_after = anonymous_bytes_of(plan_.pid);
    return std::move(report_);
  }
  if (plan_.presign && signet()) {
    say("signing in advance");
    if (auto signed_all = presign(); !signed_all)
      return tl::make_unexpected(signed_all.error());
  }
  say("running");
  measure();
  report_.node_rss_after = anonymous_bytes_of(plan_.pid);
  judge();
  return std::move(report_);
}

} // namespace

result<load_report> run_load(const load_plan& plan) { return load(plan).run(); }

} // namespace signet::cli
