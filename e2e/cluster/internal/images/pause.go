package images

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"e2e/cluster/internal/layout"
)

// pauseCode is the program of a pod's sandbox, which has to sleep and to leave no zombies: with SIGCHLD ignored the kernel reaps
// what is left to it (sigaction(2)). Every pod has one, so it is the smallest program there is: 4 KB of memory, no compiler needed.
// Each ends with the kernel's struct sigaction {SIG_IGN, 0, 0, 0}, at a multiple of 8.
var pauseCode = map[string]struct {
	machine elf.Machine
	code    []byte
}{
	"amd64": {elf.EM_X86_64, []byte{
		0xb8, 13, 0, 0, 0, //               mov  eax, 13 (rt_sigaction)
		0xbf, 17, 0, 0, 0, //               mov  edi, 17 (SIGCHLD)
		0x48, 0x8d, 0x35, 23, 0, 0, 0, //   lea  rsi, [rip+23] (the struct)
		0x31, 0xd2, //                      xor  edx, edx
		0x41, 0xba, 8, 0, 0, 0, //          mov  r10d, 8 (size of a signal set)
		0x0f, 0x05, //                      syscall
		0xb8, 34, 0, 0, 0, //         again: mov  eax, 34 (pause)
		0x0f, 0x05, //                      syscall
		0xeb, 0xf7, //                      jmp  again
		0x90, 0x90, 0x90, 0x90, //          nop
		1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	}},
	"arm64": {elf.EM_AARCH64, []byte{
		0xc8, 0x10, 0x80, 0xd2, //          mov  x8, #134 (rt_sigaction)
		0x20, 0x02, 0x80, 0xd2, //          mov  x0, #17 (SIGCHLD)
		0x81, 0x01, 0x00, 0x10, //          adr  x1, .+48 (the struct)
		0x02, 0x00, 0x80, 0xd2, //          mov  x2, #0
		0x03, 0x01, 0x80, 0xd2, //          mov  x3, #8
		0x01, 0x00, 0x00, 0xd4, //          svc  #0
		0x28, 0x09, 0x80, 0xd2, //    again: mov  x8, #73 (ppoll)
		0x00, 0x00, 0x80, 0xd2, //          mov  x0, #0
		0x01, 0x00, 0x80, 0xd2, //          mov  x1, #0
		0x02, 0x00, 0x80, 0xd2, //          mov  x2, #0 (for ever)
		0x03, 0x00, 0x80, 0xd2, //          mov  x3, #0
		0x01, 0x00, 0x00, 0xd4, //          svc  #0
		0xfa, 0xff, 0xff, 0x17, //          b    again
		0x1f, 0x20, 0x03, 0xd5, //          nop
		1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	}},
}

// pauseProgram is the sandbox's program as a static ELF file.
func pauseProgram(arch string) ([]byte, error) {
	p, ok := pauseCode[arch]
	if !ok {
		return nil, errors.New("no sandbox program for " + arch)
	}
	const base, headers = 0x400000, 64 + 56
	size := uint64(headers + len(p.code))
	var out bytes.Buffer
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(p.machine), Version: uint32(elf.EV_CURRENT),
		Entry: base + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA], header.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	segment := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x10000,
	}
	err := errors.Join(binary.Write(&out, binary.LittleEndian, header), binary.Write(&out, binary.LittleEndian, segment))
	out.Write(p.code)
	return out.Bytes(), err
}

// PackPause writes the archive of the sandbox image.
func PackPause(out string) error {
	program, err := pauseProgram(runtime.GOARCH)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	root, err := os.MkdirTemp(filepath.Dir(out), ".pause-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	if err := os.WriteFile(filepath.Join(root, "pause"), program, 0o755); err != nil {
		return err
	}
	return Pack(root, layout.PauseImage, `{"Entrypoint":["/pause"],"User":"65535:65535"}`, out)
}
