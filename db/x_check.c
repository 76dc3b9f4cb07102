#include "commands.h"
#include "tool.h"
int command_check(int argc, char **argv) { (void)argc, (void)argv; die("%s", "not yet"); }
