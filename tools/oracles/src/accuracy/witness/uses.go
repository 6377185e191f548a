// Prints what go/types, the type checker of Go's own distribution, resolves names to: a line
// "use FROM TO LINE NAME" for each identifier of FROM that a file TO of the same tree declares at
// package level, and a line "seen FILE" for each file that is built on this system.
package main

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

type loader struct {
	root, module string
	fset         *token.FileSet
	library      types.Importer
	// Packages by directory, as importers see them.
	packages map[string]*types.Package
	// What a test outside of its package imports instead: the package with its tests.
	tested map[string]*types.Package
	out    *bufio.Writer
}

// directory is where an import path of the module stands; "" for any other.
func (l *loader) directory(path string) string {
	if path == l.module {
		return l.root
	}
	if strings.HasPrefix(path, l.module+"/") {
		return filepath.Join(l.root, path[len(l.module):])
	}
	return ""
}

func (l *loader) Import(path string) (*types.Package, error) {
	dir := l.directory(path)
	if dir == "" {
		if strings.Contains(strings.Split(path, "/")[0], ".") {
			return nil, fmt.Errorf("%s is not here", path)
		}
		return l.library.Import(path)
	}
	if known := l.tested[dir]; known != nil {
		return known, nil
	}
	if known, ok := l.packages[dir]; ok {
		return known, nil
	}
	l.packages[dir] = nil
	listed, err := build.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	l.packages[dir] = l.check(dir, listed.Name, listed.GoFiles, listed.CgoFiles)
	return l.packages[dir], nil
}

// check resolves one package and prints what its files use.
func (l *loader) check(dir, name string, lists ...[]string) *types.Package {
	var files []*ast.File
	for _, list := range lists {
		for _, file := range list {
			path := filepath.Join(dir, file)
			if parsed, _ := parser.ParseFile(l.fset, path, nil, parser.SkipObjectResolution); parsed != nil {
				files = append(files, parsed)
				fmt.Fprintf(l.out, "seen\t%s\n", l.relative(path))
			}
		}
	}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: l, FakeImportC: true, Error: func(error) {}}
	checked, _ := config.Check(name, l.fset, files, &info)
	for ident, object := range info.Uses {
		// Fields, methods and local names have other scopes or none.
		if object.Pkg() == nil || object.Parent() != object.Pkg().Scope() {
			continue
		}
		from, to := l.fset.Position(ident.Pos()), l.fset.Position(object.Pos())
		inside := strings.HasPrefix(to.Filename, l.root+"/")
		if inside && from.Filename != to.Filename {
			fmt.Fprintf(l.out, "use\t%s\t%s\t%d\t%s\n", l.relative(from.Filename), l.relative(to.Filename), from.Line, ident.Name)
		}
	}
	return checked
}

func (l *loader) relative(path string) string {
	relative, _ := filepath.Rel(l.root, path)
	return relative
}

func main() {
	root, _ := filepath.EvalSymlinks(os.Args[1])
	build.Default.CgoEnabled = false
	l := &loader{root: root, fset: token.NewFileSet(), packages: map[string]*types.Package{}, out: bufio.NewWriter(os.Stdout)}
	l.library = importer.ForCompiler(l.fset, "source", nil)
	manifest, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, line := range strings.Split(string(manifest), "\n") {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "module" {
			l.module = words[1]
		}
	}
	filepath.WalkDir(root, func(dir string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		if !entry.IsDir() {
			return nil
		}
		if dir != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "vendor") {
			return filepath.SkipDir
		}
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil && dir != root {
			return filepath.SkipDir
		}
		listed, err := build.ImportDir(dir, 0)
		if err != nil {
			return nil
		}
		path := l.module + "/" + l.relative(dir)
		if dir == root {
			path = l.module
		}
		l.Import(path)
		if len(listed.TestGoFiles)+len(listed.XTestGoFiles) > 0 {
			whole := l.check(dir, listed.Name, listed.GoFiles, listed.CgoFiles, listed.TestGoFiles)
			l.tested = map[string]*types.Package{dir: whole}
			l.check(dir, listed.Name+"_test", listed.XTestGoFiles)
			l.tested = nil
		}
		return nil
	})
	l.out.Flush()
}
