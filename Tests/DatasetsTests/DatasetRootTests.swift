import Datasets
import DatasetTestSupport
import Foundation
import Imaging
import Synchronization
import Testing
import TestSupport

/// Paths of a data set, resolved below its root by the kernel, and step by step where it lacks the call.
@Suite struct DatasetRootTests {
    private let folder: TemporaryFolder
    private let elsewhere: TemporaryFolder

    init() throws {
        (folder, elsewhere) = (try TemporaryFolder(), try TemporaryFolder())
        try elsewhere.addImage("x.png", width: 33, height: 33)
    }

    /// The result of reading `name` of `images/` by its header and whole, which must agree.
    private func read(_ name: String, usesOpenat2: Bool, follows: Bool = false) throws -> Result<Int, DatasetError> {
        try folder.addText("manifest.jsonl", "{\"image\": \"images/\(name)\"}")
        var options = folder.options()
        options.followsSymlinks = follows
        let dataset = try ReadRetry.$current.withValue(ReadRetry(delays: [])) {
            try DatasetRoot.$usesOpenat2.withValue(usesOpenat2) { try DatasetRegistry.open("manifest", options) }
        }
        do {
            let width = try dataset.sample(0).image.width
            _ = try dataset.instanceCount(0)
            return .success(width)
        } catch let error as DatasetError {
            #expect(throws: error) { try dataset.instanceCount(0) }
            return .failure(error)
        }
    }

    @Test(arguments: [true, false]) func linksThatStayInsideAreFollowed(usesOpenat2: Bool) throws {
        let root = folder.path
        try FileManager.default.createDirectory(atPath: root + "/stored/deep", withIntermediateDirectories: true)
        try folder.addImage("../stored/deep/a.png", width: 7)
        symlink("../stored/deep/a.png", root + "/images/relative.png")
        symlink(root + "/stored/deep/a.png", root + "/images/absolute.png")
        symlink("absolute.png", root + "/images/chain.png")
        symlink("../stored", root + "/images/folder")
        symlink(root + "/stored", root + "/images/absolute-folder")
        for name in ["relative.png", "absolute.png", "chain.png", "folder/deep/a.png", "absolute-folder/deep/a.png"] {
            #expect(try read(name, usesOpenat2: usesOpenat2).get() == 7, "\(name)")
        }
    }

    @Test(arguments: [true, false]) func linksThatLeaveAreRefusedUnlessAllowed(usesOpenat2: Bool) throws {
        let outside = elsewhere.path + "/images"
        symlink(outside + "/x.png", folder.path + "/images/absolute.png")
        symlink(
            "../../" + (elsewhere.path as NSString).lastPathComponent + "/images/x.png", folder.path + "/images/up.png")
        symlink(outside, folder.path + "/images/folder")
        symlink("absolute.png", folder.path + "/images/chain.png")
        for name in ["absolute.png", "up.png", "folder/x.png", "chain.png"] {
            let error = #expect(throws: DatasetError.self) { try read(name, usesOpenat2: usesOpenat2).get() }
            #expect(error?.code == .outsideRoot && error?.problem.contains("/images/x.png, outside") == true, "\(name)")
            #expect(try read(name, usesOpenat2: usesOpenat2, follows: true).get() == 33)
        }
        // Not even the size of a file outside is looked at.
        let dataset = try DatasetRegistry.open("manifest", folder.options())
        #expect(dataset.fingerprint(0).contains(" -+"))
    }

    @Test(arguments: [true, false]) func whatIsNoFileIsNamed(usesOpenat2: Bool) throws {
        let images = folder.path + "/images/"
        symlink("circle.png", images + "circle.png")
        symlink("gone/x.png", images + "broken.png")
        #expect(mkfifo(images + "pipe", 0o600) == 0)
        symlink("pipe", images + "link-to-pipe.png")
        try folder.addImage("a.png")
        for (name, problem) in [
            ("circle.png", "is a broken link"), ("broken.png", "is a broken link"),
            ("link-to-pipe.png", "it is not a regular file"), ("a.png/b.png", "(Not a directory)"),
        ] {
            let error = #expect(throws: DatasetError.self) { try read(name, usesOpenat2: usesOpenat2).get() }
            #expect(error?.code == .unreadableFile && error?.problem.contains(problem) == true, "\(name)")
        }
    }

    @Test func aNameThatIsNotTextIsNamed() throws {
        try folder.addImage("a.png")
        try folder.addLabel("a.png", [0: 1])
        #expect(
            rename(
                folder.path + "/images/a.png", bytes(folder.path + "/images/", [0x61, 0xff, 0x2e, 0x70, 0x6e, 0x67]))
                == 0)
        let dataset = try DatasetRegistry.open("images", folder.options())
        let error = #expect(throws: DatasetError.self) { try dataset.sample(0) }
        #expect(error?.description.hasSuffix("/images/a\u{fffd}.png: has a name that is not UTF-8; rename it") == true)
    }

    private func bytes(_ folder: String, _ name: [UInt8]) -> [CChar] {
        (Array(folder.utf8) + name + [0]).map { CChar(bitPattern: $0) }
    }

    /// A folder that is a link out of the data set every other moment: the files outside are never read.
    @Test(arguments: [true, false]) func aFolderExchangedForALinkLeadsNowhere(usesOpenat2: Bool) throws {
        let images = folder.path + "/images/"
        try FileManager.default.createDirectory(atPath: images + "kept", withIntermediateDirectories: true)
        try folder.addImage("kept/x.png")
        symlink(elsewhere.path + "/images", images + "evil")
        symlink("kept", images + "sub")
        try folder.addText("manifest.jsonl", #"{"image": "images/sub/x.png"}"#)
        let dataset = try ReadRetry.$current.withValue(ReadRetry(delays: [])) {
            try DatasetRoot.$usesOpenat2.withValue(usesOpenat2) {
                try DatasetRegistry.open("manifest", folder.options())
            }
        }
        let isDone = Mutex(false)
        let exchanger = Thread {
            // A link replaced by rename: the name always exists.
            while !isDone.withLock({ $0 }) {
                for target in [self.elsewhere.path + "/images", "kept"] {
                    unlink(images + "next")
                    symlink(target, images + "next")
                    rename(images + "next", images + "sub")
                }
            }
        }
        exchanger.start()
        defer { isDone.withLock { $0 = true } }
        var (inside, refused) = (0, 0)
        let end = ContinuousClock.now + .seconds(60)
        // On a busy machine the other thread may rest for thousands of readings.
        while inside + refused < 3000 || inside == 0 || refused == 0, ContinuousClock.now < end {
            do {
                #expect(try dataset.sample(0).image.width == 4)
                inside += 1
            } catch let error as DatasetError {
                #expect(error.code == .outsideRoot)
                refused += 1
            }
        }
        #expect(inside > 0 && refused > 0)
    }
}
