# The examples that stand in a header's comments, as C: prototypes of their handlers first, then their lines, each with
# its place in the header for the compiler's messages. What follows "Example" and begins with a tab is one.

/^( \*|\/\*) Example: / { inside = 1; next }
inside && /^ \*\t/ {
	line = substr($0, 4)
	if (line ~ /^#include/ || line ~ /^APP_ROUTES\(.*\)$/) # the head's own, for people
		next
	if (line ~ /^static [a-z]+ [a-z_]+\(struct request \*req.*\)$/)
		prototypes = prototypes line ";\n"
	code = code (FNR == last + 1 ? "" : "#line " FNR " \"" FILENAME "\"\n") line "\n"
	last = FNR
	next
}
inside && /^ \*$/ { next }
{ inside = 0 }
END { printf "%s%s", prototypes, code }
