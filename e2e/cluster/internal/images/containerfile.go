package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Config is the configuration of the image that a Containerfile describes, as JSON: that of its last stage. What an image says of
// itself is thus written once, whether a container engine builds it or Pack does.
//
// The last stage may say FROM scratch, COPY, ENV, EXPOSE, USER, WORKDIR and ENTRYPOINT, each on one line and without quotes or
// variables; anything else is an error, since an image packed without it would be another one.
func Config(containerfile string) (string, error) {
	c := Configuration{ExposedPorts: map[string]struct{}{}}
	last := 0
	lines := strings.Split(containerfile, "\n")
	for i, line := range lines {
		if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word == "FROM" {
			last = i
		}
	}
	for i, line := range lines[last:] {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		instruction, rest, _ := strings.Cut(line, " ")
		if err := c.add(instruction, strings.TrimSpace(rest)); err != nil {
			return "", fmt.Errorf("line %d, %q: %w", last+i+1, line, err)
		}
	}
	if len(c.Entrypoint) == 0 {
		return "", errors.New("its last stage has no ENTRYPOINT")
	}
	text, err := json.Marshal(c)
	return string(text), err
}

// Configuration is what an image says of how it is run.
type Configuration struct {
	User         string              `json:"User,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
}

func (c *Configuration) add(instruction, rest string) error {
	if strings.ContainsAny(rest, `$'\`) || instruction != "ENTRYPOINT" && strings.Contains(rest, `"`) {
		return errors.New("quotes, variables and continued lines are not understood here")
	}
	words := strings.Fields(rest)
	switch instruction {
	case "FROM":
		if rest != "scratch" {
			return errors.New("the last stage must be FROM scratch: nothing else can be packed without an engine")
		}
	case "COPY":
	case "ENV":
		for _, word := range words {
			if name, _, ok := strings.Cut(word, "="); !ok || name == "" {
				return errors.New("write it as NAME=VALUE")
			}
			c.Env = append(c.Env, word)
		}
	case "EXPOSE":
		for _, port := range words {
			if !strings.Contains(port, "/") {
				port += "/tcp"
			}
			c.ExposedPorts[port] = struct{}{}
		}
	case "USER":
		c.User = rest
	case "WORKDIR":
		c.WorkingDir = rest
	case "ENTRYPOINT":
		if err := json.Unmarshal([]byte(rest), &c.Entrypoint); err != nil {
			return fmt.Errorf("write it as a JSON list: %w", err)
		}
	default:
		return errors.New("this instruction is not understood here")
	}
	return nil
}
