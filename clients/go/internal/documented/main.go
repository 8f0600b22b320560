// Documented fails if an exported name of the packages in the given folders has no documentation: a type, a function, a method, a
// constant, a variable or a field.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	undocumented := 0
	for _, folder := range os.Args[1:] {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil || len(files) == 0 {
			fmt.Fprintln(os.Stderr, folder, "has no Go files", err)
			os.Exit(1)
		}
		hasPackage := false
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			hasPackage = hasPackage || file.Doc != nil
			missing(file, func(name *ast.Ident) {
				undocumented++
				fmt.Fprintf(os.Stderr, "%s: %s has no documentation\n", set.Position(name.Pos()), name.Name)
			})
		}
		if !hasPackage {
			undocumented++
			fmt.Fprintln(os.Stderr, folder, "has no documentation of its package")
		}
	}
	if undocumented > 0 {
		os.Exit(1)
	}
}

// missing passes each exported name without documentation to tell.
func missing(file *ast.File, tell func(*ast.Ident)) {
	check := func(name *ast.Ident, docs ...*ast.CommentGroup) {
		for _, doc := range docs {
			if doc != nil {
				return
			}
		}
		if name.IsExported() {
			tell(name)
		}
	}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || isExported(d.Recv.List[0].Type) {
				check(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					check(s.Name, s.Doc, d.Doc)
					if of, is := s.Type.(*ast.StructType); is && s.Name.IsExported() {
						for _, field := range of.Fields.List {
							for _, name := range field.Names {
								check(name, field.Doc, field.Comment)
							}
						}
					}
				case *ast.ValueSpec:
					for _, name := range s.Names {
						if d.Lparen.IsValid() { // the comment of a group is not that of each
							check(name, s.Doc, s.Comment)
						} else {
							check(name, d.Doc)
						}
					}
				}
			}
		}
	}
}

func isExported(receiver ast.Expr) bool {
	if pointer, is := receiver.(*ast.StarExpr); is {
		receiver = pointer.X
	}
	name, is := receiver.(*ast.Ident)
	return is && name.IsExported()
}
