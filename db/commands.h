/* The commands of `ingot db`. Each gets the words after its own name; they give the exit status. */
#ifndef DB_COMMANDS_H
#define DB_COMMANDS_H

int command_shell(int argc, char **argv);
int command_export(int argc, char **argv);
int command_import(int argc, char **argv);
int command_check(int argc, char **argv);
int command_info(int argc, char **argv);
int command_snapshot(int argc, char **argv);
int command_snapshots(int argc, char **argv);
int command_restore(int argc, char **argv);
int command_resize(int argc, char **argv);
int command_repair(int argc, char **argv);

#endif
