import Datasets
import DatasetTestSupport
import Foundation
import Imaging
import Synchronization
import Testing
import TestSupport

/// Files in a data set's folder that are not its images, and reads that fail temporarily.
@Suite struct HostileFolderTests {
    private let folder: TemporaryFolder
    private let elsewhere: TemporaryFolder

    init() throws {
        (folder, elsewhere) = (try TemporaryFolder(), try TemporaryFolder())
        try folder.addLabel("a.png", [0: 1])
        try elsewhere.addImage("x.png")
    }

    private var image: String { folder.path + "/images/a.png" }

    /// The fault of examining and of reading the only image; both must be the same.
    private func fault(followsSymlinks: Bool = false) throws -> DatasetError? {
        let dataset = try FolderDataset(
            DatasetOptions(root: folder.path, followsSymlinks: followsSymlinks), retry: ReadRetry(delays: []))
        var errors: [DatasetError?] = []
        for read in [{ _ = try dataset.instanceCount(0) }, { _ = try dataset.sample(0) }] {
            do {
                try read()
                errors.append(nil)
            } catch {
                errors.append(try #require(error as? DatasetError))
            }
        }
        #expect(errors[0] == errors[1])
        if let error = errors[0] { #expect(error.concernsOneImage && !error.description.contains("\n")) }
        return errors[0]
    }

    /// A pipe without a writer blocks whoever opens it.
    @Test(.timeLimit(.minutes(1))) func pipesAndFoldersAreNotOpened() throws {
        #expect(mkfifo(image, 0o600) == 0)
        #expect(try fault()?.description == "\(image): is a pipe, not an image; replace or remove it")
        unlink(image)
        try FileManager.default.createDirectory(atPath: image, withIntermediateDirectories: false)
        #expect(try fault()?.problem == "is a folder, not an image")
    }

    @Test func linksStayInsideUnlessAllowed() throws {
        symlink(elsewhere.path + "/images/x.png", image)
        let error = try #require(try fault())
        #expect(error.code == .outsideRoot && error.location == image && error.problem.contains("/images/x.png"))
        #expect(try fault(followsSymlinks: true) == nil)
        unlink(image)
        try folder.addImage("../stored.png")
        symlink("../stored.png", image)
        #expect(try fault() == nil)
        unlink(image)
        symlink("../gone.png", image)
        #expect(try fault()?.problem == "is a broken link")
    }

    /// The root itself may be a link: it is the user's choice.
    @Test func theRootMayBeALink() throws {
        try folder.addImage("a.png")
        let link = folder.path + "-link"
        symlink(folder.path, link)
        defer { unlink(link) }
        #expect(try FolderDataset(DatasetOptions(root: link)).sample(0).id == "a")
    }

    @Test func foldersLieBelowTheRoot() throws {
        func code(_ options: DatasetOptions) -> DatasetError.Code? {
            do { _ = try FolderDataset(options) } catch { return (error as? DatasetError)?.code }
            return nil
        }
        let root = folder.path
        #expect(code(DatasetOptions(root: root, imagesFolder: "/etc")) == .invalidOption)
        #expect(code(DatasetOptions(root: root, imagesFolder: "images/../../x")) == .invalidOption)
        #expect(code(DatasetOptions(root: root, labelsFolder: "a\0b")) == .invalidOption)
        symlink(elsewhere.path + "/images", root + "/linked")
        #expect(code(DatasetOptions(root: root, imagesFolder: "linked")) == .outsideRoot)
        #expect(code(DatasetOptions(root: root, imagesFolder: "linked", followsSymlinks: true)) == nil)
    }

    /// Annotations name files in folders of the images' folder, which may be links too.
    @Test func aFolderOnTheWayMayLeadOut() throws {
        try elsewhere.addImage("b.png")
        symlink(elsewhere.path + "/images", folder.path + "/more")
        try folder.addText("manifest.jsonl", #"{"image": "more/b.png"}"#)
        func sample(_ follows: Bool) throws -> Sample {
            var options = folder.options()
            options.followsSymlinks = follows
            return try DatasetRegistry.open("manifest", options).sample(0)
        }
        let error = #expect(throws: DatasetError.self) { try sample(false) }
        #expect(error?.code == .outsideRoot && error?.location.hasSuffix("/more/b.png") == true)
        // The annotations themselves come from the folder too.
        try elsewhere.addText("list.json", #"{"images": [], "categories": [], "annotations": []}"#)
        for format in ["coco", "manifest", "kvasir-seg"] {
            symlink(elsewhere.path + "/list.json", folder.path + "/list.json")
            let error = #expect(throws: DatasetError.self) { try folder.open(format, annotations: "list.json") }
            #expect(error?.code == .unreadableFile && error?.problem.contains("outside the data set") == true)
        }
        #expect(try sample(true).id == "more/b")
    }

    @Test func whatTheHeaderShowsIsSeenWithoutDecoding() throws {
        for (bytes, problem) in [
            (Data(), "the file is empty"), (Data("<html>".utf8), "the file is neither PNG nor JPEG by its first bytes"),
        ] {
            try bytes.write(to: URL(fileURLWithPath: image))
            #expect(try fault()?.problem == problem)
        }
        try folder.addImage("a.png", width: 5)
        #expect(try fault()?.code == .sizeMismatch)
        // A header of 50,000 x 50,000 pixels.
        let whole = try Data(contentsOf: URL(fileURLWithPath: image))
        var giant = whole
        for offset in [16, 20] { giant.replaceSubrange(offset..<offset + 4, with: [0, 0, 0xC3, 0x50]) }
        try giant.write(to: URL(fileURLWithPath: image))
        #expect(try fault()?.problem.contains("50000 x 50000 pixels exceed") == true)
    }

    @Test func fingerprintsTellFilesOfOtherSizesApart() throws {
        try folder.addImage("a.png")
        let dataset = try FolderDataset(DatasetOptions(root: folder.path))
        let first = dataset.fingerprint(0)
        #expect(first.hasPrefix("a ") && first.split(separator: "+").count == 2)
        #expect(DatasetSubset(dataset, indices: [0]).fingerprint(0) == first)
        try folder.addImage("a.png", width: 64, height: 64, value: 3)
        #expect(dataset.fingerprint(0) != first)
        unlink(image)
        #expect(dataset.fingerprint(0).contains("-"))
    }

    // MARK: Reads that fail temporarily

    private func error(_ number: Int32?) -> ImagingError {
        ImagingError(.unreadable, file: "f", cause: "c", remedy: "r", systemError: number)
    }

    /// The delays waited until a read succeeded or gave up, when its first tries fail with these error numbers.
    private func delays(_ failures: [Int32?]) -> (waited: [Double], succeeded: Bool) {
        let waited = Mutex<[Double]>([])
        let retry = ReadRetry(delays: ReadRetry.standard.delays) { seconds in waited.withLock { $0.append(seconds) } }
        var tries = 0
        let result: Void? = try? retry.run {
            defer { tries += 1 }
            if tries < failures.count { throw error(failures[tries]) }
        }
        return (waited.withLock { $0 }, result != nil)
    }

    @Test(arguments: [EIO, ESTALE, EINTR, EAGAIN, ETIMEDOUT, ENOENT]) func passingErrorsAreTriedAgain(number: Int32) {
        #expect(delays([number]) == ([0.1], true))
        #expect(delays([number, number, number]) == ([0.1, 0.5, 2], true))
        #expect(delays([number, number, number, number]) == ([0.1, 0.5, 2], false))
    }

    @Test func lastingErrorsAreNot() {
        #expect(delays([EACCES]) == ([], false))
        #expect(delays([nil]) == ([], false))
        #expect(delays([EIO, EACCES]) == ([0.1], false))
    }

    @Test func aFileThatComesBackIsRead() throws {
        try folder.addImage("a.png")
        let (present, away) = (image, folder.path + "/away.png")
        let dataset = try FolderDataset(
            DatasetOptions(root: folder.path),
            retry: ReadRetry(delays: [0.01, 0.01]) { _ in rename(away, present) })
        for read in [{ _ = try dataset.sample(0) }, { _ = try dataset.instanceCount(0) }] {
            rename(present, away)
            try read()
        }
        unlink(present)
        let error = #expect(throws: DatasetError.self) { try dataset.sample(0) }
        #expect(error?.code == .unreadableFile && error?.problem.contains("No such file") == true)
    }
}
