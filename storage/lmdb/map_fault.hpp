#pragma once
// The data file is read through a map. When the disk cannot give a page of it (a bad sector, a file that somebody has cut
// short), there is no error code: the kernel sends SIGBUS.

namespace signet::storage {

/// From now on such a fault ends the process with exit code 71 and one line on stderr, as every other failure of the disk
/// does; without this it would die by the signal. Nothing is lost that was acknowledged and that the disk still has. For
/// processes that serve a store; call it once, before threads are started.
void exit_on_map_fault();

} // namespace signet::storage
