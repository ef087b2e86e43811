import Datasets
import DatasetTestSupport
import Foundation
import Testing
import TestSupport

/// Outputs that would replace inputs, under other names and through links.
@Suite struct InputProtectionTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        for name in ["in.png", "other.png"] { try folder.addText(name, name) }
        try folder.addText("out/kept.txt", "")
    }

    private func path(_ name: String) -> String { folder.path + "/" + name }

    private func refusal(_ output: String, folders: [String] = []) -> String? {
        do throws(DatasetError) {
            try InputProtection.check(
                outputs: [path("new.png"), output], files: [path("in.png"), path("missing")], folders: folders)
            return nil
        } catch {
            #expect(error.code == .invalidOption && error.location == output)
            return error.problem
        }
    }

    @Test func theInputUnderAnyNameIsRefused() throws {
        symlink("../in.png", path("out/link.png"))
        symlink("out", path("alias"))
        #expect(link(path("in.png"), path("out/hard.png")) == 0)
        symlink(".", path("here"))
        #expect(refusal(path("in.png")) == "is an input")
        for name in ["./in.png", "out/../in.png", "out/link.png", "alias/link.png", "out/hard.png", "here/in.png"] {
            #expect(refusal(path(name)) == "is the input \(path("in.png"))", "\(name)")
        }
        for name in ["other.png", "out/kept.txt", "absent/in.png", "in.png.bak"] { #expect(refusal(path(name)) == nil) }
    }

    /// The output replaces the link that is the input's name, and leaves the file.
    @Test func aLinkThatIsTheInputIsRefused() throws {
        symlink("other.png", path("named.png"))
        for output in ["named.png", "other.png"] {
            #expect(throws: DatasetError.self) {
                try InputProtection.check(outputs: [path(output)], files: [path("named.png")])
            }
        }
    }

    @Test func filesOfInputFoldersAreRefused() throws {
        try folder.addImage("a.png")
        symlink("images", path("pictures"))
        symlink("../images/a.png", path("out/a.png"))
        // A circle of links ends.
        symlink("..", path("images/up"))
        for name in ["images/a.png", "pictures/a.png", "out/a.png"] {
            #expect(refusal(path(name), folders: [path("images")]) != nil, "\(name)")
        }
        #expect(refusal(path("images/b.png"), folders: [path("images")]) == nil)
    }

    @Test func foldersInsideTheInputAreRefused() throws {
        symlink("images", path("pictures"))
        func isRefused(_ output: String) -> Bool {
            (try? InputProtection.check(outputFolder: path(output), outside: path("images"))) == nil
        }
        for output in [
            "images", "images/", "images/new", "images/new/deep", "pictures", "pictures/new", "out/../images",
        ] {
            #expect(isRefused(output), "\(output)")
        }
        for output in ["out", "new", "images-2", ".", "out/new/deep"] { #expect(!isRefused(output), "\(output)") }
    }
}
