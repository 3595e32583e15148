// chaos_spoil DATA: makes the store of a stopped node differ from its peers' in one bit of its state hash. The row's
// own check is right, so that nothing but a comparison with other nodes can notice. For tools/chaos only; never
// installed.

#include "storage/lmdb/environment.hpp"
#include "storage/tables.hpp"

#include <iostream>

int main(int count, char** words) {
  using namespace signet;
  using namespace signet::storage;
  if (count != 2) {
    std::cerr << "usage: chaos_spoil DATA\n";
    return 73;
  }
  auto opened = environment::open({.directory = words[1]}, all_tables());
  if (!opened) {
    std::cerr << "chaos_spoil: " << opened.error().context << "\n";
    return 71;
  }
  auto txn = (*opened)->write();
  const auto row = get<table::state>(txn, {"applied"});
  auto applied = row ? applied_row::decode(row->raw) : std::nullopt;
  if (!applied) {
    std::cerr << "chaos_spoil: nothing was ever applied in " << words[1] << "\n";
    return 71;
  }
  applied->state_hash.raw[0] ^= 1;
  bytes encoded;
  applied->encode(encoded);
  put<table::state>(txn, {"applied"}, {encoded});
  txn.commit();
  std::cout << value(applied->index) << "\n";
  return 0;
}
