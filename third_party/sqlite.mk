# SQLite, from the upstream archive that SOURCES pins with Debian's security patches.
#
#   $(SQLITE_READY)        stands when sqlite3.c and sqlite3.h are in $(SQLITE_DIR)
#   $(sqlite.CONFIG.o)     the library, for guest, host, tool and fuzz (host's)
#
# The upstream archive is the full source tree; its own main.mk makes the amalgamation (this needs tclsh). One line of
# it is changed: fts5 (3.46.1) marks its totals as valid though reading them has failed. When that failure has rolled the
# transaction back already, nothing unmarks them, and the connection's next write stores totals that begin at zero: what
# bm25() ranks by is wrong from then on, and integrity_check says so.

SQLITE_SRC := $(BUILD)/third_party/src/sqlite3
SQLITE_DIR := $(BUILD)/third_party/sqlite
SQLITE_READY := $(SQLITE_DIR)/sqlite3.h
sqlite.guest.o := $(BUILD)/third_party/sqlite-guest.o
sqlite.host.o := $(BUILD)/third_party/sqlite-host.o
sqlite.tool.o := $(BUILD)/third_party/sqlite-tool.o
sqlite.fuzz.o := $(sqlite.host.o)

extra.sql := -isystem $(SQLITE_DIR)
ready.sql := $(SQLITE_READY)
extra.cli := -isystem $(SQLITE_DIR)
ready.cli := $(SQLITE_READY)
needs.sql.host := $(sqlite.host.o)
needs.sql.fuzz := $(sqlite.fuzz.o)
needs.app.host := $(sqlite.host.o)
needs.app.fuzz := $(sqlite.fuzz.o)
needs.boot.host := $(sqlite.host.o)

# What SQLite is told about where it lives. The first lines are what the VFS relies on:
# there is no operating system (sql/vfs.c is its only VFS); one thread; a transaction is a batch of page
# writes, or its undo log goes to a scratch file (sql/scratch.c), as do sorts that are too large for memory; no write-ahead log.
sqlite.options := -DSQLITE_OS_OTHER=1 -DSQLITE_THREADSAFE=0 -DSQLITE_ENABLE_BATCH_ATOMIC_WRITE \
	-DSQLITE_TEMP_STORE=1 -DSQLITE_OMIT_WAL -DSQLITE_MAX_MMAP_SIZE=0x7fff0000 -DSQLITE_DEFAULT_MMAP_SIZE=0x7fff0000 \
	-DSQLITE_DEFAULT_PAGE_SIZE=4096 -DSQLITE_MAX_DEFAULT_PAGE_SIZE=4096 -DSQLITE_DEFAULT_LOCKING_MODE=0
# Memory comes from one bounded heap (SQLITE_CONFIG_HEAP) that sql_open is given.
sqlite.options += -DSQLITE_ENABLE_MEMSYS5 -DSQLITE_ZERO_MALLOC -DSQLITE_DEFAULT_MEMSTATUS=1 \
	-DSQLITE_DEFAULT_LOOKASIDE=512,48 -DSQLITE_DEFAULT_PCACHE_INITSZ=0
# No extensions at run time, no shared cache, nothing deprecated, no tracing; errors say where in the SQL.
sqlite.options += -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_OMIT_SHARED_CACHE -DSQLITE_OMIT_DEPRECATED \
	-DSQLITE_OMIT_TCL_VARIABLE -DSQLITE_OMIT_DESERIALIZE \
	-DSQLITE_OMIT_TRACE -DSQLITE_OMIT_UTF16 -DSQLITE_OMIT_GET_TABLE -DSQLITE_UNTESTABLE
# What an application may count on.
sqlite.options += -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_MATH_FUNCTIONS \
	-DSQLITE_ENABLE_STAT4 -DSQLITE_DQS=0 -DSQLITE_DEFAULT_FOREIGN_KEYS=1 -DSQLITE_LIKE_DOESNT_MATCH_BLOBS \
	-DSQLITE_MAX_EXPR_DEPTH=200 -DSQLITE_JSON_MAX_DEPTH=160

$(SQLITE_SRC)/VERSION: | third_party/fetch third_party/SOURCES
	@third_party/fetch sqlite3 $(BUILD)/third_party/archives $(SQLITE_SRC)

SQLITE_HOST_CC ?= cc
$(SQLITE_READY): $(SQLITE_SRC)/VERSION third_party/SOURCES third_party/sqlite.mk
	@command -v tclsh >/dev/null || { echo "third_party: sqlite3: tclsh is needed (package tcl)" >&2; exit 1; }
	@echo "third_party: making sqlite3.c"
	@rm -rf $(SQLITE_DIR) && mkdir -p $(SQLITE_DIR).work
	@$(MAKE) -s -C $(SQLITE_DIR).work -f $(abspath $(SQLITE_SRC))/main.mk TOP=$(abspath $(SQLITE_SRC)) \
		BCC="$(SQLITE_HOST_CC) -O1 -w" OPTS= sqlite3.c >$(SQLITE_DIR).log 2>&1 || \
		{ tail -n 20 $(SQLITE_DIR).log; exit 1; }
	@mkdir $(SQLITE_DIR) && cp $(SQLITE_DIR).work/sqlite3.c $(SQLITE_DIR).work/sqlite3ext.h $(SQLITE_DIR)
	@sed -i 's/^    p->bTotalsValid = bCache;$$/    p->bTotalsValid = bCache \&\& rc==SQLITE_OK;/' $(SQLITE_DIR)/sqlite3.c && \
		test "$$(grep -c 'bTotalsValid = bCache && rc==SQLITE_OK;' $(SQLITE_DIR)/sqlite3.c)" = 1 || \
		{ echo "third_party: sqlite3: fts5StorageLoadTotals is not as it was: see third_party/sqlite.mk" >&2; exit 1; }
	@cp $(SQLITE_DIR).work/sqlite3.h $(SQLITE_DIR)/sqlite3.h && rm -rf $(SQLITE_DIR).work

# None of our warnings: it is not our code. -Os: an image with SQL and nothing else is 0.77 MB, with -O2 1.15 MB.
sqlite.cflags := -std=gnu11 -g1 -w -fno-strict-aliasing -ffunction-sections -fdata-sections $(sqlite.options)
# In an image the parser and the planner, which see a statement once, are compiled for size, and what runs for each row
# for speed: that costs 50 KB, where all of it would cost 330. gcc is told in the source; another compiler takes it all
# for size. And what a transaction's pages were is kept in pieces of 8 KiB, not of 1: a fifth of the allocations.
sqlite.fast := btree vdbe vdbemem vdbeaux vdbeapi vdbesort util pager pcache pcache1 memjournal malloc mem5 bitvec utf \
	printf func
sqlite.guest.c := $(BUILD)/third_party/sqlite-guest.c
$(sqlite.guest.c): $(SQLITE_READY) third_party/sqlite.mk
	@awk -v files="$(sqlite.fast)" ' \
		BEGIN { n = split(files, f); for (i = 1; i <= n; i++) fast[f[i] ".c"] = 1 } \
		/^\/\*+ End of [a-z0-9]+\.c \*+\// && $$4 in fast { print "#pragma GCC pop_options"; ends++ } \
		sub(/define MEMJOURNAL_DFLT_FILECHUNKSIZE 1024$$/, "define MEMJOURNAL_DFLT_FILECHUNKSIZE 8192") { pieces++ } \
		{ print } \
		/^\/\*+ Begin file [a-z0-9]+\.c \*+\// && $$4 in fast { \
			print "#pragma GCC push_options\n#pragma GCC optimize(\"O2\")"; begins++ } \
		END { if (begins != n || ends != n || pieces != 1) { print "sqlite3.c: not all of its parts were found" >"/dev/stderr"; exit 1 } }' \
		$(SQLITE_DIR)/sqlite3.c >$@.new && mv $@.new $@
$(sqlite.guest.o): $(sqlite.guest.c) third_party/sqlite.mk third_party/sqlite-memory.h | $(MUSL_READY)
	$(guest.cc) $(sqlite.cflags) -Os -falign-functions=1 -falign-loops=1 -falign-jumps=1 $(guest.arch) -nostdinc \
		-isystem $(MUSL_INCLUDE) -isystem $(shell $(guest.cc) -print-file-name=include) -I$(SQLITE_DIR) \
		-include third_party/sqlite-memory.h -c $(sqlite.guest.c) -o $@
$(sqlite.host.o): $(SQLITE_READY) third_party/sqlite.mk
	$(host.cc) $(sqlite.cflags) -O1 -g -c $(SQLITE_DIR)/sqlite3.c -o $@
# The `ingot` command checks SQL with the same SQLite; it asks which column a result comes from.
$(sqlite.tool.o): $(SQLITE_READY) third_party/sqlite.mk
	$(tool.cc) $(sqlite.cflags) -DSQLITE_ENABLE_COLUMN_METADATA -O1 -c $(SQLITE_DIR)/sqlite3.c -o $@

# For `ingot db`: SQLite as a Unix process knows it (files, journals, a write-ahead log, UTF-16), with what an application
# may count on in the guest, and its own shell, whose main is called by db/shell.c. Built when somebody asks for it.
sqlite.shell.o := $(BUILD)/third_party/sqlite-shell.o
sqlite.edit := $(if $(wildcard /usr/include/editline/readline.h),edit)
sqlite.shell-main.o := $(BUILD)/third_party/sqlite-shell-main$(if $(sqlite.edit),-edit).o
sqlite.shell-libs := $(if $(sqlite.edit),-ledit) -lm -ldl
needs.db.host := $(sqlite.shell.o) $(sqlite.shell-main.o)
ready.db := $(SQLITE_READY)
extra.db := -isystem $(SQLITE_DIR)

sqlite.shell-options := -DSQLITE_THREADSAFE=0 -DSQLITE_ENABLE_BATCH_ATOMIC_WRITE -DSQLITE_DEFAULT_PAGE_SIZE=4096 \
	-DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_MATH_FUNCTIONS -DSQLITE_ENABLE_STAT4 \
	-DSQLITE_DEFAULT_FOREIGN_KEYS=1 -DSQLITE_LIKE_DOESNT_MATCH_BLOBS -DSQLITE_TEMP_STORE=2 \
	-DSQLITE_ENABLE_FTS3 -DSQLITE_ENABLE_FTS4 -DSQLITE_ENABLE_GEOPOLY \
	-DSQLITE_ENABLE_DBPAGE_VTAB -DSQLITE_ENABLE_DBSTAT_VTAB -DSQLITE_ENABLE_BYTECODE_VTAB -DSQLITE_ENABLE_STMTVTAB \
	-DSQLITE_ENABLE_EXPLAIN_COMMENTS -DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_OFFSET_SQL_FUNC \
	-DSQLITE_ENABLE_UNKNOWN_SQL_FUNCTION -DSQLITE_OMIT_LOAD_EXTENSION
sqlite.shell-cflags := -std=gnu11 -g1 -w -O2 -fno-strict-aliasing -ffunction-sections -fdata-sections \
	$(sqlite.shell-options)
$(sqlite.shell.o): $(SQLITE_READY) third_party/sqlite.mk
	$(tool.cc) $(sqlite.shell-cflags) -c $(SQLITE_DIR)/sqlite3.c -o $@
$(SQLITE_DIR)/shell.c: $(SQLITE_READY)
	@tclsh $(SQLITE_SRC)/tool/mkshellc.tcl >$@.new && mv $@.new $@
$(sqlite.shell-main.o): $(SQLITE_DIR)/shell.c third_party/sqlite.mk
	$(tool.cc) $(sqlite.shell-cflags) -O1 $(if $(sqlite.edit),-DHAVE_EDITLINE) -D_GNU_SOURCE -I$(SQLITE_DIR) \
		-Dmain=sqlite_shell_main -DSQLITE_SHELL_INIT_PROC=db_shell_init -c $< -o $@
