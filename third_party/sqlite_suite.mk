# SQLite's own tests on our page store: its TCL suite, its fuzz corpus, its speed test. e2e/sqlite.sh runs them.
#
#   make sqlite-suite      build/suite/testfixture, build/suite/fuzzcheck
#   make sqlite-speedtest  build/suite/speedtest1
#
# SQLite is built with the guest's options, but for those that the tests cannot do without; docs/sqlite-suite.md
# lists the differences. Here it knows the host's files too: sql/support/suite/ puts the page store in between.

SUITE := $(BUILD)/suite
SUITE_THIRD := $(BUILD)/third_party/suite
SQLITE_TOP := $(abspath $(SQLITE_SRC))
suite.top = $(MAKE) -s --no-print-directory -f $(SQLITE_TOP)/main.mk TOP=$(SQLITE_TOP)

# The guest's, without: no operating system, no testing, no double-quoted strings, and what is in the tests' way.
suite.not := -DSQLITE_OS_OTHER=1 -DSQLITE_UNTESTABLE -DSQLITE_DQS=0 -DSQLITE_DEFAULT_FOREIGN_KEYS=1 \
	-DSQLITE_MAX_EXPR_DEPTH=200 -DSQLITE_OMIT_TCL_VARIABLE -DSQLITE_OMIT_DESERIALIZE -DSQLITE_OMIT_DEPRECATED \
	-DSQLITE_OMIT_TRACE -DSQLITE_OMIT_GET_TABLE -DSQLITE_ZERO_MALLOC -DSQLITE_ENABLE_MEMSYS5 \
	-DSQLITE_DEFAULT_LOOKASIDE=512,48 -DSQLITE_DEFAULT_PCACHE_INITSZ=0 \
	-DSQLITE_DEFAULT_PAGE_SIZE=4096 -DSQLITE_OMIT_UTF16 -DSQLITE_LIKE_DOESNT_MATCH_BLOBS
suite.options := $(filter-out $(suite.not),$(sqlite.options))
suite.cflags := -std=gnu11 -g1 -w -fno-strict-aliasing $(suite.options) -DSQLITE_OS_UNIX=1 -D_GNU_SOURCE

# What the tests' interpreter is built with; the flags are upstream's.
fixture.flags := $(suite.cflags) -DSQLITE_TEST=1 -DSQLITE_CRASH_TEST=1 -DSQLITE_SERVER=1 -DSQLITE_PRIVATE="" \
	-DSQLITE_CORE -DSQLITE_SERIES_CONSTRAINT_VERIFY=1 -DSQLITE_DEFAULT_PAGE_SIZE=1024 -DSQLITE_ENABLE_STMTVTAB \
	-DSQLITE_ENABLE_DBPAGE_VTAB -DSQLITE_ENABLE_BYTECODE_VTAB -DTCLSH_INIT_PROC=sqlite3TestInit \
	-DSQLITE_CKSUMVFS_STATIC -DSQLITE_STATIC_RANDOMJSON -DSQLITE_STRICT_SUBTYPE=1 -DTCLSH_MAIN=suite_tclsh \
	-DSQLITE_EXTRA_INIT=suite_vfs_register -DSQLITE_NO_SYNC=1 -I$(SQLITE_DIR) -I$(SQLITE_SRC)/src -I$(SUITE_THIRD)/generated -I/usr/include/tcl8.6
fixture.sources := src/tclsqlite.c ext/session/test_session.c
fixture.o := $(SUITE_THIRD)/fixture.a
fixture.parts := $(SUITE_THIRD)/fixture-sqlite3.o $(fixture.o)
fixture.libs := -ltcl8.6 -lm -lpthread -ldl

# What SQLite's build generates and some tests include.
$(SUITE_THIRD)/generated/parse.h: $(SQLITE_READY)
	@mkdir -p $(@D)
	cd $(@D) && $(suite.top) BCC="$(SQLITE_HOST_CC) -O1 -w" OPTS= parse.h opcodes.h keywordhash.h >/dev/null
$(SUITE_THIRD)/fixture-sqlite3.o: $(SQLITE_READY) third_party/sqlite.mk
	@mkdir -p $(@D)
	@echo "third_party: building SQLite's test fixture"
	$(CC) $(fixture.flags) -O2 -c $(SQLITE_DIR)/sqlite3.c -o $@
$(fixture.o): $(SQLITE_READY) $(SUITE_THIRD)/generated/parse.h third_party/sqlite.mk
	@rm -rf $(SUITE_THIRD)/fixture $@ && mkdir -p $(SUITE_THIRD)/fixture
	for f in $$($(suite.top) --eval='print-tests:;@echo $$(TESTSRC)' print-tests) \
			$(addprefix $(SQLITE_TOP)/,$(fixture.sources)); do \
		$(CC) $(fixture.flags) -O1 -c $$f -o $(SUITE_THIRD)/fixture/$$(basename $$f .c).o || exit 1; \
	done
	ar rcs $@ $(SUITE_THIRD)/fixture/*.o

# The fuzz corpus: theirs under AddressSanitizer too.
fuzzcheck.flags := $(suite.cflags) -fsanitize=address -fno-omit-frame-pointer -DSQLITE_ENABLE_MEMSYS5 \
	-DSQLITE_MAX_MEMORY=50000000 -DSQLITE_PRINTF_PRECISION_LIMIT=1000 -DSQLITE_STRICT_SUBTYPE=1 \
	-DSQLITE_ENABLE_DBPAGE_VTAB -DSQLITE_ENABLE_BYTECODE_VTAB -DSQLITE_STATIC_RANDOMJSON -DSQLITE_OSS_FUZZ \
	-I$(SQLITE_DIR) -I$(SQLITE_SRC)/test -I$(SQLITE_SRC)/ext/recover
fuzzcheck.renamed := -Dmain=fuzzcheck_main -Dsqlite3_vfs_register=fuzzcheck_vfs_register \
	-Dsqlite3_open=fuzzcheck_open -Dsqlite3_deserialize=fuzzcheck_deserialize
fuzzcheck.sources := test/vt02.c test/fuzzinvariants.c ext/recover/dbdata.c ext/recover/sqlite3recover.c \
	ext/misc/randomjson.c
fuzzcheck.parts := $(SUITE_THIRD)/fuzzcheck-sqlite3.o $(SUITE_THIRD)/fuzzcheck.a
$(SUITE_THIRD)/fuzzcheck-sqlite3.o: $(SQLITE_READY) third_party/sqlite.mk
	@mkdir -p $(@D)
	@echo "third_party: building SQLite's fuzzcheck"
	$(CC) $(fuzzcheck.flags) -O1 -c $(SQLITE_DIR)/sqlite3.c -o $@
$(SUITE_THIRD)/fuzzcheck.a: $(SQLITE_READY) third_party/sqlite.mk
	@rm -rf $(SUITE_THIRD)/fuzzcheck $@ && mkdir -p $(SUITE_THIRD)/fuzzcheck
	$(CC) $(fuzzcheck.flags) -O1 $(fuzzcheck.renamed) -c $(SQLITE_SRC)/test/fuzzcheck.c -o $(SUITE_THIRD)/fuzzcheck/main.o
	$(CC) $(fuzzcheck.flags) -O1 -Dsqlite3_open_v2=fuzzcheck_open_v2 -c $(SQLITE_SRC)/test/ossfuzz.c \
		-o $(SUITE_THIRD)/fuzzcheck/ossfuzz.o
	for f in $(fuzzcheck.sources); do \
		$(CC) $(fuzzcheck.flags) -O1 -c $(SQLITE_SRC)/$$f -o $(SUITE_THIRD)/fuzzcheck/$$(basename $$f .c).o || exit 1; \
	done
	ar rcs $@ $(SUITE_THIRD)/fuzzcheck/*.o

# The speed test, with the guest's options but for the host's files.
speedtest.flags := $(filter-out -DSQLITE_OMIT_DEPRECATED,$(suite.cflags)) -DSQLITE_EXTRA_INIT=suite_vfs_register \
	-DSQLITE_DEFAULT_PAGE_SIZE=4096 -I$(SQLITE_DIR)
speedtest.parts := $(SUITE_THIRD)/speedtest-sqlite3.o $(SUITE_THIRD)/speedtest1.o
$(SUITE_THIRD)/speedtest-sqlite3.o: $(SQLITE_READY) third_party/sqlite.mk
	@mkdir -p $(@D)
	$(CC) $(speedtest.flags) -O2 -c $(SQLITE_DIR)/sqlite3.c -o $@
$(SUITE_THIRD)/speedtest1.o: $(SQLITE_READY) third_party/sqlite.mk
	@mkdir -p $(@D)
	$(CC) $(speedtest.flags) -O2 -Dmain=suite_speedtest -c $(SQLITE_SRC)/test/speedtest1.c -o $@
