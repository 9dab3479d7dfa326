package images

import (
	"strings"
	"testing"
)

func TestTheConfigurationIsThatOfTheLastStage(t *testing.T) {
	got, err := Config("ARG X=1\nFROM $X AS build\nENV A=B\nRUN \"anything\"\n\n# The image.\nFROM scratch\nCOPY --from=build /rootfs/ /\nENV PATH=/usr/bin B=c\nUSER 1:2\nWORKDIR /w\nEXPOSE 1/udp 2\nENTRYPOINT [\"/usr/bin/a\", \"b\"]\n")
	want := `{"User":"1:2","ExposedPorts":{"1/udp":{},"2/tcp":{}},"Env":["PATH=/usr/bin","B=c"],"Entrypoint":["/usr/bin/a","b"],"WorkingDir":"/w"}`
	if err != nil || got != want {
		t.Errorf("%s %v", got, err)
	}
}

func TestWhatAPackedImageCouldNotHaveIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"FROM debian\nENTRYPOINT [\"/a\"]":                       "line 1",
		"FROM scratch\nRUN true\nENTRYPOINT [\"/a\"]":            "line 2",
		"FROM scratch\nENV A=$B\nENTRYPOINT [\"/a\"]":            "line 2",
		"FROM scratch\nENV A B\nENTRYPOINT [\"/a\"]":             "NAME=VALUE",
		"FROM scratch\nUSER 1 \\\nENTRYPOINT [\"/a\"]":           "line 2",
		"FROM scratch\nENTRYPOINT /a":                            "JSON list",
		"FROM scratch\nHEALTHCHECK NONE\nENTRYPOINT [\"/a\"]":    "not understood",
		"FROM a AS b\nENTRYPOINT [\"/a\"]\nFROM scratch\nUSER 1": "no ENTRYPOINT",
		"": "no ENTRYPOINT",
	} {
		if got, err := Config(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %s %v", text, got, err)
		}
	}
}
