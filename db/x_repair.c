#include "commands.h"
#include "tool.h"
int command_repair(int argc, char **argv) { (void)argc, (void)argv; die("%s", "not yet"); }
