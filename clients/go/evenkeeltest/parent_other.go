//go:build !linux

package evenkeeltest

import "os/exec"

// dieWithParent does nothing: only Linux can kill the process with its parent.
func dieWithParent(*exec.Cmd) {}
