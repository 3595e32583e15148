#include "tools/cli/commands.hpp"

int main(int argc, char** argv) { return signet::cli::run(argc, argv); }
