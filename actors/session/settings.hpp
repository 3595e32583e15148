#pragma once
// What a session and the registry may do, as numbers. Times in ms or s as the name says; sizes in bytes.

#include <cstddef>
#include <cstdint>

namespace signet {

struct node_settings;

struct session_settings {
  // before the proof
  std::uint32_t first_packet_ms = 5'000;       ///< CONNECT must be complete by then
  std::uint32_t proof_ms = 10'000;             ///< the answer to a challenge, at login and at renewal
  std::size_t connect_bytes_max = 1'024;       ///< CONNECT, whole packet
  std::size_t proof_bytes_max = 16'384;        ///< AUTH with an identity handed in
  std::size_t client_id_bytes_max = 128;
  bool reusable_tokens = true;                 ///< over TLS and loopback only, in any case
  std::uint32_t token_s_max = 300;
  std::uint32_t reusable_token_s_max = 12 * 3'600;

  // lives
  std::uint32_t absolute_s = 12 * 3'600;       ///< of a proof; at its end the connection is closed unless renewed
  std::uint32_t idle_s = 3'600;                ///< a session that nobody is attached to is closed after that
  std::uint32_t keep_alive_s_max = 300;        ///< asked for 0 or more: this (v5), closed after 1.5 × this (3.1.1)
  std::uint32_t keep_alive_ws_s_min = 120;     ///< browsers throttle timers to one a minute (v5)
  std::uint32_t parked_s_max = 7 * 86'400;     ///< longest session expiry granted; that of 3.1.1 with clean session 0
  std::size_t parked_max = 10'000;             ///< detached MQTT sessions kept in memory

  // attached
  std::size_t inbound_packet_bytes = 1 << 20;    ///< announced in CONNACK
  std::size_t outbound_packet_bytes = 256 << 10; ///< what a client that names no limit, or a larger one, gets
  std::uint16_t receive_maximum = 32;            ///< unanswered publishes, each way
  std::size_t inbound_bytes_max = 1 << 20;       ///< payload of publishes not yet answered; reading stops above
  std::size_t output_pause_bytes = 512 << 10;    ///< deliveries pause while the link has that much queued
  std::uint32_t output_stalled_ms = 30'000;      ///< paused for so long without progress: slow_consumer
  std::uint32_t batches_per_second = 2'000;      ///< for one session; above it reading slows down. Generous: the author
                                                 ///< is known, and a sender refuses what does not verify
  std::uint32_t identities_per_second = 10;      ///< publications of one session
  std::uint32_t lookups_per_second = 200;        ///< of one session

  // waiting
  std::uint32_t batch_timeout_ms = 10'000;     ///< for an answer of SENDERS; then the same bytes are sent again
  std::uint32_t entry_timeout_ms = 5'000;      ///< for an answer of the replica to an opening, a renewal, an identity
  std::uint32_t retry_ms_min = 20;             ///< first wait before a batch is submitted again; doubles
  std::uint32_t retry_ms_max = 1'000;
  std::uint32_t no_quorum_ms = 2'000;          ///< no leader for so long: what is not proposed is refused (v5: PUBACK
                                               ///< 0x83 no_quorum; 3.1.1: closed), and clients are told `stale`
  std::uint32_t in_doubt_ms = 10'000;          ///< no leader for so long while an outcome is unknown: closed
};

/// As cluster.conf says.
session_settings session_settings_from(const node_settings& settings);

} // namespace signet
